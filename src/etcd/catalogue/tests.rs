use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn minor(text: &str) -> Minor {
    text.parse().unwrap()
}

#[test]
fn every_line_is_reached_from_the_one_before() {
    let catalogue = Catalogue::embedded();
    let mut at = minor("2.0");
    let mut seen = vec![at];
    while let Some(next) = catalogue.next_minor(at) {
        assert!(catalogue.hop(at, next).is_some(), "{at} to {next}");
        seen.push(next);
        at = next;
    }
    assert_eq!(seen, catalogue.minors());
    assert_eq!(at, minor("3.7"));
}

#[test]
fn two_to_three_is_one_hop_and_a_skip_is_none() {
    let catalogue = Catalogue::embedded();
    assert_eq!(catalogue.next_minor(minor("2.3")), Some(minor("3.0")));
    assert_eq!(catalogue.next_minor(minor("3.7")), None);
    assert_eq!(catalogue.next_minor(minor("4.0")), None);
    assert!(catalogue.hop(minor("3.3"), minor("3.5")).is_none());
    assert!(catalogue.hop(minor("3.5"), minor("3.4")).is_none());
}

#[test]
fn floors_lie_in_their_line_and_in_order() {
    for hop in &Catalogue::embedded().hops {
        let sources = [hop.hard_source(), &hop.least_source, &hop.use_source];
        let targets = [&hop.least_target, &hop.use_target];
        assert!(sources.is_sorted() && targets.is_sorted(), "{hop:?}");
        assert!(sources.iter().all(|source| source.minor() == hop.from));
        assert!(targets.iter().all(|target| target.minor() == hop.to));
    }
}

#[test]
fn no_floor_and_no_advice_is_a_bad_release() {
    let catalogue = Catalogue::embedded();
    for hop in &catalogue.hops {
        for good in [&hop.use_source, &hop.least_target, &hop.use_target] {
            assert_eq!(catalogue.bad(good), None, "{good}");
        }
    }
}

#[test]
fn every_rule_names_its_source() {
    let catalogue = Catalogue::embedded();
    let settings = &catalogue.settings;
    let mut sources = vec![
        &catalogue.patch_step.source,
        &catalogue.env_flag_conflict.source,
    ];
    sources.extend(catalogue.hops.iter().map(|hop| &hop.source));
    sources.extend(
        catalogue
            .hops
            .iter()
            .flat_map(|hop| &hop.notes)
            .map(|note| &note.source),
    );
    sources.extend(
        catalogue
            .hops
            .iter()
            .flat_map(|hop| &hop.floors)
            .map(|floor| &floor.source),
    );
    sources.extend(catalogue.patches.bad.iter().map(|bad| &bad.source));
    sources.extend(settings.flags.iter().map(|row| &row.source));
    sources.extend(settings.prefixes.iter().map(|row| &row.source));
    sources.extend(settings.values.iter().map(|row| &row.source));
    sources.extend(settings.fatal_env.iter().map(|row| &row.source));
    sources.extend(settings.yaml_types.iter().map(|row| &row.source));
    sources.extend(settings.defaults.iter().map(|row| &row.source));
    assert!(
        sources.iter().all(|source| source.trim().len() > 8),
        "{sources:?}"
    );
}

#[test]
fn a_bad_stretch_lies_in_one_line_and_ends_before_its_fix() {
    for bad in &Catalogue::embedded().patches.bad {
        for (first, last) in &bad.ranges {
            assert!(first <= last && first.minor() == last.minor(), "{bad:?}");
            let fixed = bad.fixed_in(last.minor());
            assert!(fixed.is_some_and(|fixed| last < fixed), "{bad:?}");
        }
    }
}

#[test]
fn a_bad_release_says_what_happens_and_what_to_run_instead() {
    let catalogue = Catalogue::embedded();
    for (release, instead) in [
        ("2.0.2", "2.0.3"),
        ("3.1.16", "3.1.17"),
        ("3.2.0", "3.2.1"),
        ("3.4.8", "3.4.9"),
        ("3.5.2", "3.5.3"),
        ("3.5.5", "3.5.6"),
        ("3.6.4", "3.6.5"),
    ] {
        let bad = catalogue.bad(&version(release)).unwrap();
        let fixed = bad.fixed_in(version(release).minor());
        assert_eq!(fixed, Some(&version(instead)), "{release}");
    }
    for release in [
        "2.0.3", "3.1.17", "3.4.23", "3.5.6", "3.5.16", "3.5.30", "3.6.5", "3.7.1",
    ] {
        assert_eq!(catalogue.bad(&version(release)), None, "{release}");
    }
}

#[test]
fn a_lesser_fault_is_listed_but_does_not_make_a_release_bad() {
    let catalogue = Catalogue::embedded();
    let target = version("3.5.16");
    let faults = catalogue.faults(&target);
    let faults: Vec<_> = faults.iter().map(|bad| bad.source.as_str()).collect();
    assert!(faults.contains(&"etcd-io/etcd#20967, #20995"), "{faults:?}");
    assert!(catalogue.faults(&version("3.5.33")).is_empty());
}

#[test]
fn the_guides_floors_are_those_of_the_hop() {
    let catalogue = Catalogue::embedded();
    let least = |from, to| {
        catalogue
            .least_source(minor(from), minor(to))
            .unwrap()
            .to_string()
    };
    assert_eq!(least("2.0", "2.1"), "2.0.3");
    assert_eq!(least("3.4", "3.5"), "3.4.22");
    assert_eq!(least("3.5", "3.6"), "3.5.32");
    assert_eq!(least("3.6", "3.7"), "3.6.11");
    let hop = catalogue.hop(minor("3.5"), minor("3.6")).unwrap();
    assert_eq!(hop.hard_source(), &version("3.5.26"));
    assert_eq!(
        catalogue.least_target(minor("3.1")),
        Some(&version("3.1.17"))
    );
}

#[test]
fn a_member_can_be_put_back_on_every_hop_but_two_three_to_three() {
    let catalogue = Catalogue::embedded();
    for hop in &catalogue.hops {
        let back = catalogue.mixed_rollback(&hop.use_source, &hop.use_target);
        assert_eq!(back, hop.from != minor("2.3"), "{} to {}", hop.from, hop.to);
    }
    assert!(catalogue.mixed_rollback(&version("3.5.16"), &version("3.5.30")));
}

#[test]
fn changed_defaults_are_those_of_the_lines_crossed() {
    let catalogue = Catalogue::embedded();
    let between = |from, to| -> Vec<String> {
        let (from, to) = (version(from), version(to));
        catalogue
            .changed_defaults(&from, &to)
            .into_iter()
            .map(|change| change.setting.clone())
            .collect()
    };
    assert_eq!(between("3.4.23", "3.5.16"), ["logger", "pre-vote"]);
    assert!(between("3.5.16", "3.5.30").is_empty());
}

#[test]
fn types_that_a_line_refuses_in_its_file_are_known() {
    let keys = |target| -> Vec<String> {
        let target = version(target);
        let rules = Catalogue::embedded().refused_yaml_types(&target);
        rules.iter().map(|rule| rule.key.clone()).collect()
    };
    assert_eq!(keys("3.2.32"), Vec::<String>::new());
    assert_eq!(keys("3.4.23"), ["auto-compaction-retention", "log-output"]);
    assert_eq!(keys("3.7.1"), ["auto-compaction-retention"]);
}

#[test]
fn a_catalogue_of_another_shape_or_with_a_gap_is_refused() {
    let shape = Catalogue::from_toml("format = 1\nsurprise = 2").unwrap_err();
    assert!(matches!(shape, CatalogueError::Shape(_)));
    let format = Catalogue::from_toml(&EMBEDDED.replacen("format = 1", "format = 9", 1));
    assert!(matches!(format, Err(CatalogueError::Format { found: 9 })));
    let gap = Catalogue::from_toml(&EMBEDDED.replacen("\"2.1\", ", "", 1));
    assert!(matches!(gap, Err(CatalogueError::Gap { .. })));
    let unknown = EMBEDDED.replacen(
        "mixed_rollback = true\n",
        "mixed_rollback = true\nsure = 1\n",
        1,
    );
    assert!(matches!(
        Catalogue::from_toml(&unknown),
        Err(CatalogueError::Shape(_))
    ));
}
