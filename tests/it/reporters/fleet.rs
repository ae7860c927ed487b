//! What people see of many clusters at once.

use indicatif::{InMemoryTerm, ProgressDrawTarget};
use jiff::SignedDuration;
use runner::event::Kind;
use runner::report::Talk;
use runner::report::layout::Canvas;
use runner::report::looking::Looking;
use runner::report::progress::Bars;
use runner::report::text::Paint;

use super::size;
use super::stream::Stream;

/// Twelve clusters: three have ended, the fourth is being worked on, the fifth is staged.
fn fleet(names: &[String]) -> Stream {
    let mut all = Stream::new();
    for name in names {
        take_in(&mut all, name, Stream::new().planned());
    }
    for name in &names[..3] {
        take_in(&mut all, name, Stream::new().done());
    }
    take_in(&mut all, &names[3], Stream::new().second_member_starts());
    let mut staged = Stream::new();
    staged.prepared();
    // Without the backup, which waits for its turn.
    staged.events.truncate(staged.events.len() - 2);
    take_in(&mut all, &names[4], &mut staged);
    all
}

/// Adds another stream's events, at their own distances, as those of that cluster; without the run's ending.
fn take_in(all: &mut Stream, name: &str, other: &mut Stream) {
    let shift = all.now().duration_since(Stream::new().now());
    let took = other.now().duration_since(Stream::new().now());
    for mut event in std::mem::take(&mut other.events) {
        match &mut event.kind {
            Kind::Plan { cluster, .. }
            | Kind::StepStarted { cluster, .. }
            | Kind::StepProgress { cluster, .. }
            | Kind::StepEnded { cluster, .. }
            | Kind::Guarded { cluster, .. }
            | Kind::LogRead { cluster, .. }
            | Kind::UndoStarted { cluster, .. } => name.clone_into(cluster),
            Kind::ClusterEnded { ending } => name.clone_into(&mut ending.cluster),
            Kind::Ended { .. } => continue,
            Kind::Interrupted { .. } => panic!("an interrupt belongs to no cluster"),
        }
        event.at += shift;
        event.index = all.events.len() as u64;
        all.events.push(event);
    }
    all.wait(i64::try_from(took.as_millis()).unwrap());
}

#[test]
fn bars_of_twelve_clusters_show_hosts_only_where_something_goes_on() {
    let names: Vec<String> = (1..=12).map(|n| format!("c{n:02}")).collect();
    let stream = fleet(&names);
    let term = InMemoryTerm::new(40, 80);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let mut bars = Bars::on(target, size(80, 24), Paint::OFF);
    stream.events.iter().for_each(|event| bars.report(event));
    bars.draw(stream.now());
    let screen = term.contents();
    for name in &names[..3] {
        let own = screen.lines().filter(|line| line.contains(name.as_str()));
        assert_eq!(own.count(), 1, "{name} has ended: {screen}");
    }
    let shown = screen.matches("etcd-2").count();
    assert_eq!(shown, 1, "one is in work: {screen}");
    assert!(!screen.contains("c06"), "it has not begun: {screen}");
    insta::assert_snapshot!("bars_fleet_80", screen);
}

/// Six clusters in work and one that is staged, on a terminal of that many rows.
fn crowded(rows: u16) -> String {
    let names: Vec<String> = (1..=7).map(|n| format!("c{n:02}")).collect();
    let mut all = Stream::new();
    for name in &names {
        take_in(&mut all, name, Stream::new().planned());
    }
    for name in &names[1..] {
        take_in(&mut all, name, Stream::new().second_member_starts());
    }
    let mut staged = Stream::new();
    staged.prepared();
    staged.events.truncate(staged.events.len() - 2);
    take_in(&mut all, &names[0], &mut staged);
    let term = InMemoryTerm::new(rows, 80);
    let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
    let mut bars = Bars::on(target, size(80, usize::from(rows)), Paint::OFF);
    all.events.iter().for_each(|event| bars.report(event));
    bars.draw(all.now());
    term.contents()
}

#[test]
fn where_hosts_have_no_room_each_cluster_has_a_line_that_says_what_is_in_hand() {
    assert_eq!(crowded(40).lines().count(), 25, "a line a host");
    let dense = crowded(20);
    assert_eq!(dense.lines().count(), 7, "{dense}");
    assert_eq!(dense.matches("etcd-2").count(), 6, "{dense}");
    insta::assert_snapshot!("bars_dense_80", dense);
}

#[test]
fn where_clusters_have_no_room_either_those_that_wait_are_counted() {
    let counted = crowded(6);
    assert_eq!(counted.lines().count(), 6, "{counted}");
    assert!(!counted.contains("c01"), "it is only staged: {counted}");
    insta::assert_snapshot!("bars_counted_80", counted);
}

#[test]
fn what_interrupts_a_look_gives_way_to_it_again() {
    let now = Stream::new().now();
    let began = |what: &str, hosts: &[&str]| Talk::Began {
        what: what.to_owned(),
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
    };
    let mut looking = Looking::default();
    looking.apply(&began("reach 2 hosts", &["a", "b"]), now);
    looking.apply(&began("get etcd 3.5.16", &[]), now);
    let answered = Talk::Answered {
        host: "a".to_owned(),
        failed: None,
    };
    looking.apply(&answered, now);
    let canvas = Canvas {
        width: 80,
        now: now + SignedDuration::from_secs(1),
        paint: Paint::OFF,
    };
    assert!(looking.line(canvas).unwrap().starts_with("get etcd 3.5.16"));
    looking.apply(&Talk::Over, now);
    let line = looking.line(canvas).unwrap();
    assert!(
        line.starts_with("reach 2 hosts: 1 answered, awaiting b"),
        "{line}"
    );
    looking.apply(&Talk::Over, now);
    assert_eq!(looking.line(canvas), None);
}
