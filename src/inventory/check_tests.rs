use proptest::prelude::*;

use super::*;

#[test]
fn an_address_cannot_smuggle_an_option_or_a_second_word_into_ssh() {
    for bad in [
        "-oProxyCommand=id",
        "a b",
        "a\tb",
        "a\nb",
        "",
        "a;b",
        "$(id)",
        "a'b",
    ] {
        assert!(address("address", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_address_with_a_port_a_user_or_a_scheme_says_which() {
    for (text, what) in [
        ("10.0.0.1:22", "port"),
        ("[fd00::1]:22", "port"),
        ("ops@10.0.0.1", "user"),
        ("ssh://10.0.0.1", "scheme"),
    ] {
        let problem = address("address", text).unwrap_err();
        assert_eq!(
            problem,
            Problem::MoreThanAnAddress {
                address: text.into(),
                what
            }
        );
    }
}

#[test]
fn names_addresses_and_aliases_are_addresses() {
    for good in [
        "10.0.0.1",
        "etcd-1.example.net",
        "db_1",
        "fd00::1",
        "fe80::1%eth0",
    ] {
        assert_eq!(address("address", good).unwrap(), good);
    }
    assert_eq!(address("address", "[fd00::1]").unwrap(), "fd00::1");
}

#[test]
fn names_hold_no_pattern_no_comma_and_no_leading_dash() {
    for bad in ["-x", "a,b", "a*", "!a", "a/b", "a b", "", "etcd-[1-3]", "é"] {
        assert!(name("host", bad).is_err(), "{bad:?}");
    }
    assert!(name("host", "etcd-1.prod_a").is_ok());
}

#[test]
fn a_host_path_is_absolute_does_not_climb_and_is_not_the_root() {
    assert_eq!(
        host_path("data_dir", "/var//lib/./etcd/").unwrap(),
        "/var/lib/etcd"
    );
    assert!(matches!(
        host_path("k", "var/lib"),
        Err(Problem::NotAbsolute { .. })
    ));
    assert!(matches!(
        host_path("k", "/var/../etc"),
        Err(Problem::PathClimbs { .. })
    ));
    assert!(matches!(host_path("k", "//"), Err(Problem::RootFolder(_))));
    assert!(matches!(
        host_path("k", "/a\nb"),
        Err(Problem::ControlCharacter(_))
    ));
}

#[test]
fn a_unit_is_the_name_of_a_service_that_can_be_started() {
    for good in ["etcd.service", "etcd@main.service", "my-etcd_3.5.service"] {
        assert_eq!(unit("unit", good).unwrap(), good);
    }
    for bad in [
        "etcd",
        "etcd.socket",
        "/etc/systemd/system/etcd.service",
        ".service",
        "-x.service",
        "etcd@.service",
        "a b.service",
    ] {
        assert_eq!(
            unit("unit", bad).unwrap_err(),
            Problem::NotAUnit(bad.into())
        );
    }
    assert_eq!(
        Problem::NotAUnit("/etc/systemd/system/etcd.socket".into())
            .hint()
            .unwrap(),
        "such as `etcd.service`"
    );
}

#[test]
fn a_client_url_is_one_endpoint_without_a_password() {
    for good in [
        "http://127.0.0.1:2379",
        "https://{address}:2379",
        "https://[::1]:2379",
        "http://etcd.local",
    ] {
        assert_eq!(client_url("client_url", good).unwrap(), good);
    }
    assert_eq!(client_url("k", "http://a:1/").unwrap(), "http://a:1");
    for bad in [
        "127.0.0.1:2379",
        "ftp://a:1",
        "http://",
        "http://a:0",
        "http://a:99999",
        "http://a:x",
        "http://a:+1",
        "http://a:1/v3",
        "http://a:1,http://b:1",
        "http://a b",
        "http://{adress}:2379",
        "http://[::g]:1",
        "http://::1:2379",
    ] {
        assert!(client_url("client_url", bad).is_err(), "{bad}");
    }
    let secret = client_url("client_url", "http://root:hunter2@a:1").unwrap_err();
    assert!(!secret.to_string().contains("hunter2"));
}

#[test]
fn a_mode_has_three_or_four_octal_digits_and_no_special_bits() {
    assert_eq!(mode("mode", "0640").unwrap(), 0o640);
    assert_eq!(mode("mode", "600").unwrap(), 0o600);
    for bad in ["640x", "0888", "4755", "64", "", "+640", "rw-r-----"] {
        assert_eq!(
            mode("mode", bad).unwrap_err(),
            Problem::NotAMode(bad.into())
        );
    }
}

#[test]
fn an_owner_names_a_user_and_a_group() {
    assert_eq!(owner("owner", "etcd:etcd").unwrap(), "etcd:etcd");
    for bad in ["etcd", ":", "etcd:", "-x:y", "a b:c", "a:b:c", "a:$(id)"] {
        assert_eq!(
            owner("owner", bad).unwrap_err(),
            Problem::NotAnOwner(bad.into())
        );
    }
}

#[test]
fn checking_host_keys_cannot_be_switched_off() {
    let problem = host_key_policy("host_key_policy", "no").unwrap_err();
    assert_eq!(
        problem.hint().unwrap(),
        "checking host keys cannot be switched off"
    );
    let problem = host_key_policy("host_key_policy", "accept_new").unwrap_err();
    assert_eq!(problem.hint().unwrap(), "did you mean `accept-new`?");
}

#[test]
fn a_release_comes_from_control_or_a_peer() {
    assert_eq!(fan_out("fan_out", "peer").unwrap(), FanOut::Peer);
    assert_eq!(fan_out("fan_out", "control").unwrap(), FanOut::Control);
    let problem = fan_out("fan_out", "pear").unwrap_err();
    assert_eq!(problem.hint().unwrap(), "did you mean `peer`?");
}

#[test]
fn become_is_false_sudo_or_doas() {
    assert_eq!(escalation("doas").unwrap(), Escalation::Doas);
    assert_eq!(
        escalation("sduo").unwrap_err().hint().unwrap(),
        "did you mean `sudo`?"
    );
}

#[test]
fn a_source_knows_its_placeholders_and_schemes() {
    for good in [
        "/srv/etcd",
        "releases/",
        "https://x/v{version}/{arch}.tgz",
        "~/etcd",
        "file:///srv/etcd",
        "a.deb, b.deb",
    ] {
        assert!(source("releases.source", good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "s3://bucket/x",
        "https://",
        "https://x/{os}",
        "https://x/{version",
        "https://me:pw@x/{version}",
        "https://x/a.deb,https://me:pw@x/b.deb",
    ] {
        assert!(source("releases.source", bad).is_err(), "{bad}");
    }
}

#[test]
fn jump_hosts_and_login_users_hold_nothing_that_a_shell_acts_on() {
    for good in [
        "bastion",
        "ops@bastion:2222",
        "ops@[fd00::1]:22",
        "ssh://ops@b:22",
    ] {
        assert!(jump("jump", good).is_ok(), "{good}");
    }
    for bad in ["-oX=y", "a,b", "a b", "$(id)", "a;b", "a/b"] {
        assert!(jump("jump", bad).is_err(), "{bad}");
    }
    assert!(login("user", "ops@corp").is_ok());
    for bad in ["-l", "a b", "a'b", "root:x"] {
        assert!(login("user", bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_one_harmless_word(text in "\\PC{0,12}|[-a-z0-9 '\";$.:@/\\[\\]\n\t]{0,12}") {
        let accepted = [
            name("host", &text), member("member", &text), login("user", &text),
            address("address", &text), jump("jump", &text), unit("unit", &text), owner("owner", &text),
        ];
        for word in accepted.into_iter().flatten() {
            prop_assert!(!word.starts_with('-'));
            prop_assert!(!word.is_empty());
            prop_assert!(!word.chars().any(|c| c.is_whitespace() || c.is_control()));
        }
    }

    #[test]
    fn an_accepted_host_path_is_accepted_again_unchanged(text in "[/a-z. -]{0,16}") {
        if let Ok(path) = host_path("data_dir", &text) {
            prop_assert!(path.starts_with('/') && !path.ends_with('/') && !path.contains("//"));
            prop_assert_eq!(host_path("data_dir", &path).unwrap(), path);
        }
    }
}
