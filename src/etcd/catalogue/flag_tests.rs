use std::collections::BTreeMap;

use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn refused(target: &str, args: &[&str]) -> Vec<String> {
    Catalogue::embedded()
        .refused_flags(&version(target), args)
        .into_iter()
        .map(|refused| refused.flag)
        .collect()
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn each_flag_row_accepts_from_its_first_release_and_refuses_from_its_last() {
    let catalogue = Catalogue::embedded();
    for row in &catalogue.settings.flags {
        for name in &row.names {
            let flag = format!("--{name}");
            let at = |target: &Version| catalogue.refused_flags(target, &[flag.as_str()]).pop();
            for first in &row.since {
                assert_eq!(at(first), None, "{flag} at {first}");
            }
            if let Some(gone) = row.gone {
                let refused = at(&Version::new(gone.major, gone.minor, 0)).unwrap();
                assert_eq!(refused.refusal, Refusal::Gone, "{flag}");
                assert_eq!(refused.since, gone.to_string(), "{flag}");
                assert_eq!(refused.replacement, row.instead.clone().unwrap_or_default());
            }
        }
    }
}

#[test]
fn each_flag_row_is_too_new_right_before_its_first_release() {
    let catalogue = Catalogue::embedded();
    let early = |first: &Version| match first.patch() {
        0 => {
            let at = catalogue
                .minors
                .iter()
                .position(|known| *known == first.minor())?;
            let before = catalogue.minors.get(at.checked_sub(1)?)?;
            Some(Version::new(before.major, before.minor, 99))
        }
        patch => Some(Version::new(
            first.minor().major,
            first.minor().minor,
            patch - 1,
        )),
    };
    let mut tried = 0;
    for row in &catalogue.settings.flags {
        let Some(before) = row.since.first().and_then(early) else {
            continue;
        };
        for name in &row.names {
            let refused = catalogue.refused_flags(&before, &[format!("-{name}")]);
            assert_eq!(refused[0].refusal, Refusal::TooNew, "{name} at {before}");
            assert_eq!(refused[0].since, row.since[0].to_string(), "{name}");
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn no_flag_has_two_rows() {
    let rows = &Catalogue::embedded().settings.flags;
    let names: Vec<_> = rows.iter().flat_map(|row| &row.names).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len());
}

#[test]
fn a_hole_in_a_line_is_seen() {
    assert_eq!(refused("3.4.19", &["--max-concurrent-streams=8"]).len(), 1);
    assert_eq!(refused("3.4.20", &["--max-concurrent-streams=8"]).len(), 0);
    assert_eq!(refused("3.5.4", &["--max-concurrent-streams=8"]).len(), 1);
    assert_eq!(refused("3.6.0", &["--max-concurrent-streams=8"]).len(), 0);
}

#[test]
fn flags_are_read_as_go_reads_them_and_named_once() {
    let args = [
        "-debug",
        "--debug",
        "--name",
        "--debug-me",
        "--log-output=stderr",
        "x",
    ];
    assert_eq!(refused("3.5.16", &args), ["--debug", "--log-output"]);
    assert_eq!(refused("3.4.23", &args), Vec::<String>::new());
}

#[test]
fn a_value_is_refused_whichever_way_it_is_written() {
    assert_eq!(
        refused("3.5.16", &["--logger=capnslog"]),
        ["--logger=capnslog"]
    );
    assert_eq!(
        refused("3.5.16", &["--logger", "capnslog"]),
        ["--logger=capnslog"]
    );
    assert_eq!(refused("3.5.16", &["--logger=zap"]), Vec::<String>::new());
    assert_eq!(refused("3.6.14", &["--v2-deprecation=not-yet"]).len(), 1);
    assert_eq!(refused("3.6.14", &["--discovery-fallback=proxy"]).len(), 1);
    assert_eq!(refused("3.5.30", &["--discovery-fallback=proxy"]).len(), 0);
}

#[test]
fn what_is_left_of_experimental_flags_is_refused_by_three_seven() {
    assert_eq!(refused("3.7.1", &["--experimental-something=1"]).len(), 1);
    assert_eq!(refused("3.6.14", &["--experimental-something=1"]).len(), 0);
}

#[test]
fn variables_that_switch_off_client_certificates_are_marked() {
    let given = env(&[
        ("ETCD_CA_FILE", "/ca"),
        ("ETCD_PEER_CA_FILE", "/ca"),
        ("ETCD_NAME", "a"),
    ]);
    let catalogue = Catalogue::embedded();
    let dropped = catalogue.dropped_env(&version("3.4.23"), &given);
    assert_eq!(dropped.len(), 2);
    assert!(
        dropped
            .iter()
            .all(|drop| drop.security && drop.effect == Effect::Dropped)
    );
    assert!(catalogue.dropped_env(&version("3.3.25"), &given).is_empty());
}

#[test]
fn variables_that_stop_etcd_are_told_from_those_it_drops() {
    let effect = |target, name, value| {
        let dropped = Catalogue::embedded().dropped_env(&version(target), &env(&[(name, value)]));
        dropped.first().map(|drop| drop.effect)
    };
    assert_eq!(
        effect("3.6.14", "ETCD_ENABLE_V2", "true"),
        Some(Effect::Dropped)
    );
    assert_eq!(effect("3.5.30", "ETCD_ENABLE_V2", "true"), None);
    assert_eq!(
        effect("3.6.14", "ETCD_V2_DEPRECATION", "not-yet"),
        Some(Effect::Fatal)
    );
    assert_eq!(
        effect("3.4.23", "ETCD_VERSION", "v3.4.0"),
        Some(Effect::Fatal)
    );
    assert_eq!(effect("3.5.16", "ETCD_VERSION", "v3.4.0"), None);
    assert_eq!(
        effect("3.0.17", "ETCD_EXPERIMENTAL_GRPC_ADDR", ":1"),
        Some(Effect::Dropped)
    );
    assert_eq!(effect("3.5.16", "PATH", "/bin"), None);
}

#[test]
fn keys_of_a_configuration_file_are_judged_as_their_flags() {
    let keys = env(&[
        ("client-transport-security.ca-file", "/ca"),
        ("peer-transport-security.ca-file", "/ca"),
        ("peer-transport-security.trusted-ca-file", "/ca"),
        ("name", "a"),
    ]);
    let dropped = Catalogue::embedded().dropped_keys(&version("3.4.23"), &keys);
    let names: Vec<_> = dropped.iter().map(|drop| drop.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "client-transport-security.ca-file",
            "peer-transport-security.ca-file"
        ]
    );
}

#[test]
fn an_option_set_twice_stops_three_four_and_later() {
    let catalogue = Catalogue::embedded();
    let args = ["--name=a", "--data-dir", "/d"];
    let given = env(&[("ETCD_NAME", "a"), ("ETCD_LOGGER", "zap"), ("NAME", "a")]);
    let conflicts = catalogue.env_conflicts(&version("3.4.23"), &args, &given);
    assert_eq!(conflicts.len(), 1);
    assert_eq!(
        (conflicts[0].flag.as_str(), conflicts[0].env.as_str()),
        ("--name", "ETCD_NAME")
    );
    assert!(
        catalogue
            .env_conflicts(&version("3.3.25"), &args, &given)
            .is_empty()
    );
}

#[test]
fn hosts_that_a_line_refuses_in_addresses_are_told_from_those_that_it_takes() {
    let rules = |target: &str| Catalogue::embedded().refused_hosts(&target.parse().unwrap());
    assert_eq!(rules("3.1.20").len(), 0);
    let domain = rules("3.2.32")[0];
    assert!(domain.refuses("http://etcd-1.example.net:2379"));
    for taken in [
        "http://localhost:2379",
        "http://10.0.0.1:2379",
        "https://[::1]:2379",
        "http://:2379",
    ] {
        assert!(!domain.refuses(taken), "{taken}");
    }
    let empty = rules("3.4.23")[1];
    assert!(empty.refuses("http://:2379") && !empty.refuses("http://a:2379"));
}
