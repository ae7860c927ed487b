use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn listed(texts: &[&str]) -> Available {
    Available::Listed(texts.iter().map(|text| version(text)).collect())
}

fn way(from: &str, to: &str, available: &Available) -> Result<Vec<String>, Vec<String>> {
    path(
        &version(from),
        &version(to),
        available,
        Catalogue::embedded(),
    )
    .map(|list| list.iter().map(ToString::to_string).collect())
    .map_err(|list| list.into_iter().map(|finding| finding.code).collect())
}

#[test]
fn a_minor_hop_goes_straight_when_the_floor_is_met() {
    assert_eq!(
        way("3.4.23", "3.5.16", &Available::Any),
        Ok(vec!["3.5.16".into()])
    );
}

#[test]
fn a_source_below_its_floor_gets_a_patch_step_first() {
    assert_eq!(
        way("3.4.10", "3.5.16", &Available::Any),
        Ok(vec!["3.4.45".into(), "3.5.16".into()])
    );
    assert_eq!(
        way("3.4.10", "3.5.16", &listed(&["3.4.23", "3.5.16"])),
        Ok(vec!["3.4.23".into(), "3.5.16".into()])
    );
}

#[test]
fn a_patch_step_needs_no_hop_rule() {
    assert_eq!(
        way("3.5.16", "3.5.30", &Available::Any),
        Ok(vec!["3.5.30".into()])
    );
    assert_eq!(way("3.5.16", "3.5.16", &Available::Any), Ok(vec![]));
}

#[test]
fn a_missing_patch_step_is_named() {
    assert_eq!(
        way("3.4.10", "3.5.16", &listed(&["3.5.16"])),
        Err(vec!["RELEASE_MISSING".into()])
    );
}

#[test]
fn a_missing_target_is_named_with_what_is_there() {
    let findings = path(
        &version("3.4.23"),
        &version("3.5.16"),
        &listed(&["3.4.23", "3.5.30"]),
        Catalogue::embedded(),
    )
    .unwrap_err();
    assert_eq!(findings[0].code, "TARGET_MISSING");
    assert!(findings[0].reason.contains("3.4.23, 3.5.30, not 3.5.16"));
}

#[test]
fn the_way_from_2_0_2_to_3_7_1_passes_every_line_and_the_patches_that_floors_ask_for() {
    let passed = [
        "2.0.13", "2.1.3", "2.2.5", "2.3.8", "3.0.17", "3.1.20", "3.2.32", "3.3.27", "3.4.45",
        "3.5.33", "3.6.14", "3.7.1",
    ];
    let passed: Vec<String> = passed.iter().map(|&one| one.to_owned()).collect();
    assert_eq!(way("2.0.2", "3.7.1", &Available::Any), Ok(passed.clone()));
    assert_eq!(
        way("2.0.13", "3.7.1", &Available::Any),
        Ok(passed[1..].to_vec())
    );
}

#[test]
fn a_floor_of_the_guides_that_cannot_be_had_is_passed_only_above_the_hard_one() {
    let releases = ["3.5.16", "3.5.30", "3.6.14"];
    assert_eq!(
        way("3.5.30", "3.6.14", &listed(&releases)),
        Ok(vec!["3.6.14".into()])
    );
    assert_eq!(
        way("3.5.16", "3.6.14", &listed(&["3.5.16", "3.6.14"])),
        Err(vec!["RELEASE_MISSING".into()])
    );
    assert_eq!(
        way("3.5.30", "3.6.14", &Available::Any),
        Ok(vec!["3.5.33".into(), "3.6.14".into()])
    );
}

#[test]
fn a_line_that_nobody_knows_is_refused() {
    let way = way("3.7.1", "3.9.0", &Available::Any);
    assert_eq!(way, Err(vec!["HOP_UNKNOWN".into()]));
}

#[test]
fn an_older_target_is_refused() {
    assert_eq!(
        way("3.5.16", "3.4.23", &Available::Any),
        Err(vec!["TARGET_OLDER".into()])
    );
    assert_eq!(
        way("3.5.30", "3.5.16", &Available::Any),
        Err(vec!["TARGET_OLDER".into()])
    );
}

#[test]
fn a_bad_patch_is_refused_as_a_target_and_avoided_on_the_way() {
    assert_eq!(
        way("3.4.23", "3.5.2", &Available::Any),
        Err(vec!["BAD_PATCH".into()])
    );
    assert_eq!(
        way("3.4.10", "3.5.16", &listed(&["3.4.22", "3.4.21", "3.5.16"])),
        Ok(vec!["3.4.22".into(), "3.5.16".into()])
    );
}
