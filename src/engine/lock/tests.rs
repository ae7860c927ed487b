use super::*;
use crate::transport::BEAT;

fn holder() -> Holder {
    Holder {
        run: "20261120T120102Z-4f2a".to_owned(),
        who: "ada".to_owned(),
        from: "ops-1".to_owned(),
        since: "2026-11-20T12:01:02Z".parse().unwrap(),
    }
}

#[test]
fn the_holder_is_read_from_its_file_and_named_with_place_and_time() {
    let words = serde_json::to_string(&holder()).unwrap();
    let text = format!("{}\n{words}\n", holder().run);
    let taken = Taken {
        host: "etcd-1".to_owned(),
        holder: Holder::parse(&text),
    };
    assert_eq!(
        taken.to_string(),
        "run 20261120T120102Z-4f2a of ada on ops-1 holds the lock on `etcd-1`, since 2026-11-20T12:01:02Z"
    );
}

#[test]
fn a_lock_whose_file_says_nothing_is_still_somebodys() {
    for text in ["", "x\n", "x\n{}\n", "x\n{\"run\":1}\n"] {
        assert_eq!(Holder::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_host_waits_longer_for_a_sign_of_life_than_a_few_of_them_take() {
    assert!(SILENCE > BEAT * 4);
}

#[test]
fn whoever_gathers_facts_looks_for_locks_where_they_are() {
    let looks = format!("for lock in {DIR}/*.lock; do");
    assert!(crate::facts::gather::SCRIPT.contains(&looks));
}
