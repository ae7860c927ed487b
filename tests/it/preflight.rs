//! Findings that no scenario shows: each is broken into a healthy cluster and told with its severity and subject.

use std::collections::BTreeSet;

use runner::etcd::MemberId;
use runner::facts::{Answer, Arch, FileFacts};
use runner::inventory::{TemplateSource, Templates};
use runner::plan::{Finding, Severity, upgrade};

use crate::scenarios::is_documented;
use crate::world::{World, id, version};

fn world() -> World {
    World::healthy(3, "3.4.23", "3.5.16")
}

/// The finding of that code, which must be there once.
#[track_caller]
fn only(world: &World, code: &str) -> Finding {
    let findings = world.plan().findings;
    findings.iter().for_each(is_documented);
    let mut found = findings.iter().filter(|finding| finding.code == code);
    let one = found
        .next()
        .unwrap_or_else(|| panic!("no {code} in {findings:#?}"));
    assert_eq!(found.next(), None, "{code} is told twice");
    one.clone()
}

#[track_caller]
fn blocks(world: &World, code: &str, subject: &str) -> Finding {
    let finding = only(world, code);
    assert_eq!(
        (finding.severity, &*finding.subject),
        (Severity::Block, subject)
    );
    assert_eq!(world.plan().plan, None);
    finding
}

pub fn unit_template(world: &mut World, text: &str) {
    for host in &mut world.cluster.hosts {
        let source = TemplateSource {
            path: "etcd.service.j2".into(),
            text: text.to_owned(),
        };
        host.templates = Templates {
            unit: Some(source),
            files: Vec::new(),
        };
    }
}

#[test]
fn a_host_of_which_nothing_is_known_blocks() {
    let mut world = world();
    world.facts.hosts.remove("etcd-3");
    let finding = blocks(&world, "HOST_FACTS", "etcd-3");
    assert!(finding.reason.contains("2 of 3"), "{}", finding.reason);
}

#[test]
fn a_member_without_a_leader_blocks() {
    let mut world = world();
    world.view("etcd-2").leader = None;
    let finding = blocks(&world, "NO_LEADER", "prod");
    assert!(finding.reason.contains("1 of 3"), "{}", finding.reason);
}

#[test]
fn members_that_see_different_leaders_block() {
    let mut world = world();
    world.view("etcd-2").leader = Some(id(2));
    let finding = blocks(&world, "LEADER_DISPUTED", "prod");
    assert!(finding.reason.contains("2 leaders"), "{}", finding.reason);
}

#[test]
fn hosts_of_two_clusters_block() {
    let mut world = world();
    world.view("etcd-2").cluster_id = MemberId(7);
    blocks(&world, "CLUSTER_ID_MISMATCH", "etcd-2");
}

#[test]
fn member_lists_that_differ_block() {
    let mut world = world();
    world.view("etcd-3").members.pop();
    let codes: BTreeSet<String> = world
        .plan()
        .findings
        .into_iter()
        .map(|finding| finding.code)
        .collect();
    assert!(codes.contains("MEMBERS_DISPUTED"), "{codes:?}");
}

#[test]
fn members_more_than_one_line_apart_block() {
    let mut world = world();
    world.runs("etcd-3", "3.3.25");
    world.runs("etcd-2", "3.5.16");
    blocks(&world, "MIXED_SPREAD", "prod");
}

#[test]
fn a_host_without_etcdctl_blocks() {
    let mut world = world();
    world.host("etcd-2").binaries.remove("etcdctl");
    blocks(&world, "ETCDCTL_MISSING", "etcd-2");
}

#[test]
fn a_unit_that_systemd_does_not_know_blocks() {
    let mut world = world();
    world.host("etcd-2").unit.load_state = "not-found".into();
    blocks(&world, "UNIT_NOT_FOUND", "etcd.service on etcd-2");
}

#[test]
fn unit_files_that_changed_unread_warn() {
    let mut world = world();
    world.host("etcd-2").unit.needs_reload = true;
    assert_eq!(only(&world, "UNIT_RELOAD").severity, Severity::Warn);
}

#[test]
fn a_data_folder_without_a_wal_blocks() {
    let mut world = world();
    world.host("etcd-2").data.exists = false;
    blocks(&world, "DATA_DIR", "etcd-2");
}

#[test]
fn a_data_folder_behind_a_link_is_the_one_that_etcd_was_told() {
    let mut world = world();
    world.host("etcd-2").data.in_use = "/srv/etcd".into();
    let findings = world.plan().findings;
    assert!(
        findings.iter().all(|finding| finding.code != "DATA_DIR"),
        "{findings:#?}"
    );
}

#[test]
fn a_key_of_the_configuration_file_that_protects_and_is_ignored_blocks() {
    let mut world = world();
    let host = world.host("etcd-2");
    host.unit.argv = vec![
        "/usr/local/bin/etcd".into(),
        "--config-file=/etc/etcd.yml".into(),
    ];
    let text = "name: etcd-2\nclient-transport-security:\n  ca-file: /etc/ca.crt\n";
    let file = FileFacts {
        text: Some(text.to_owned()),
        ..FileFacts::default()
    };
    host.files.insert("/etc/etcd.yml".into(), file);
    blocks(&world, "CONFIG_DROPPED", "etcd-2");
}

#[test]
fn a_configuration_file_that_is_not_known_is_noted() {
    let mut world = world();
    world.host("etcd-2").unit.argv =
        vec!["etcd".into(), "--config-file".into(), "/etc/x.yml".into()];
    assert_eq!(only(&world, "CONFIG_UNSEEN").severity, Severity::Note);
}

#[test]
fn a_rendered_unit_that_starts_another_etcd_blocks() {
    let mut world = world();
    world.chosen = BTreeSet::from(["etcd-2".to_owned()]);
    unit_template(&mut world, "[Service]\nExecStart=/usr/bin/etcd --name x\n");
    blocks(&world, "TEMPLATE_EXEC", "etcd-2");
}

#[test]
fn a_rendered_variable_of_systemd_is_noted_and_left_out_of_the_check() {
    let mut world = world();
    world.chosen = BTreeSet::from(["etcd-2".to_owned()]);
    unit_template(
        &mut world,
        "[Service]\nExecStart={{ bin_dir }}/etcd --name x $MORE\n",
    );
    let finding = only(&world, "ARGS_UNKNOWN");
    assert_eq!(
        (finding.severity, &*finding.subject),
        (Severity::Note, "etcd-2")
    );
}

#[test]
fn each_release_on_the_way_is_shown_what_the_template_makes_for_it() {
    let told = |text: &str| {
        let mut world = World::healthy(3, "3.4.45", "3.6.14");
        unit_template(&mut world, text);
        let findings = world.plan().findings;
        let of = |code: &str| findings.iter().find(|one| one.code == code).cloned();
        (of("FLAG_REMOVED"), of("TEMPLATE"))
    };
    let flag = "[Service]\nExecStart={{ bin_dir }}/etcd --enable-v2=true\n";
    let (removed, _) = told(flag);
    assert!(removed.unwrap().reason.contains("3.6.14 does not start"));
    let fitted = "[Service]\nExecStart={{ bin_dir }}/etcd {% if release.minor <= 5 %}--enable-v2=true{% endif %}\n";
    assert_eq!(told(fitted), (None, None));
    let (_, broken) = told(&format!(
        "{fitted}# {{% if release.minor == 6 %}}{{{{ vars.nothing }}}}{{% endif %}}\n"
    ));
    assert!(
        broken.unwrap().reason.contains("nothing"),
        "found two hops ahead"
    );
}

#[test]
fn a_file_that_could_not_be_put_back_blocks() {
    let mut world = world();
    world.chosen = BTreeSet::from(["etcd-2".to_owned()]);
    unit_template(&mut world, "[Service]\nExecStart={{ bin_dir }}/etcd\n");
    let path = "/etc/systemd/system/etcd.service";
    world
        .host("etcd-2")
        .files
        .insert(path.into(), FileFacts::default());
    blocks(&world, "TEMPLATE_UNREADABLE", &format!("{path} on etcd-2"));
}

#[test]
fn a_release_that_is_not_here_for_an_architecture_blocks() {
    let mut world = world();
    world.host("etcd-2").arch = Arch::Arm64;
    let finding = blocks(&world, "RELEASE_MISSING", "3.5.16");
    assert!(finding.reason.contains("etcd-2"), "{}", finding.reason);
}

#[test]
fn a_limit_to_members_that_are_ahead_blocks_when_others_have_to_pass_first() {
    let mut world = World::healthy(3, "3.4.10", "3.5.16");
    world.runs("etcd-2", "3.4.45");
    world.chosen = BTreeSet::from(["etcd-2".to_owned()]);
    let finding = blocks(&world, "PARTIAL", "prod");
    assert!(finding.reason.contains("2 of 3"), "{}", finding.reason);
}

#[test]
fn a_second_member_down_is_refused_even_with_resume() {
    let mut world = World::healthy(5, "3.4.23", "3.5.16");
    world.resume = true;
    for name in ["etcd-2", "etcd-3"] {
        world.host(name).answer = Answer::Silent {
            because: "refused".into(),
        };
    }
    let findings = world.plan().findings;
    let down = findings
        .iter()
        .filter(|finding| finding.code == "MEMBER_DOWN");
    assert!(
        down.clone()
            .all(|finding| finding.severity == Severity::Block)
    );
    assert_eq!(down.count(), 2);
}

#[test]
fn the_releases_needed_are_those_of_the_first_hop_and_its_hosts() {
    let mut world = World::healthy(3, "3.4.10", "3.5.16");
    world.host("etcd-3").arch = Arch::Arm64;
    world.chosen.remove("etcd-1");
    let request = world.request();
    let needed = upgrade::needed(
        request.cluster,
        request.chosen,
        request.facts,
        request.target,
        request.available,
        request.rules,
    );
    let want = [
        (version("3.4.45"), Arch::Amd64),
        (version("3.4.45"), Arch::Arm64),
    ];
    assert_eq!(needed, BTreeSet::from(want));
}

#[test]
fn nothing_is_needed_when_nothing_is_to_be_done() {
    let world = World::healthy(3, "3.5.16", "3.5.16");
    let planned = world.plan();
    assert_eq!(planned.plan, None);
    assert_eq!(planned.findings, []);
    let request = world.request();
    let needed = upgrade::needed(
        request.cluster,
        request.chosen,
        request.facts,
        request.target,
        request.available,
        request.rules,
    );
    assert!(needed.is_empty(), "{needed:?}");
}
