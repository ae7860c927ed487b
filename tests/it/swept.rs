//! Every action there is occurs in a fault sweep.

use std::collections::BTreeSet;

use runner::plan::rebuild::Rebuild;
use runner::plan::{Action, Plan};
use serde_json::Value;

use crate::sweeping::paused;
use crate::{backup_sweep, climb_sweep, downgrade_sweep, restore_sweep, rollback_sweep, sweep};

/// The names of all variants of an enum that is told apart by `tag`, from serde's own complaint about one that is none.
fn variants<T: serde::de::DeserializeOwned>(tag: &str) -> BTreeSet<String> {
    let none = serde_json::json!({ tag: "none of them" });
    let complaint = serde_json::from_value::<T>(none)
        .err()
        .expect("there is no such variant")
        .to_string();
    let (_, list) = complaint
        .split_once("expected one of ")
        .expect("serde lists the variants");
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn all() -> BTreeSet<String> {
    let mut all = variants::<Action>("do");
    assert!(all.remove("rebuild"), "{all:?}");
    all.extend(
        variants::<Rebuild>("what")
            .iter()
            .map(|what| format!("rebuild {what}")),
    );
    all
}

/// The actions of a plan, those of its undo too.
fn actions(plan: &Plan) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(
        &serde_json::to_value(plan).expect("plans are data"),
        &mut found,
    );
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let word = |key: &str| object.get(key).and_then(Value::as_str);
            match (word("do"), word("what")) {
                (Some("rebuild"), Some(what)) => drop(found.insert(format!("rebuild {what}"))),
                (Some(action), _) => drop(found.insert(action.to_owned())),
                (None, _) => {}
            }
            object.values().for_each(|value| collect(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// The plans that the sweeps carry out.
async fn plans() -> Vec<Plan> {
    let mut plans = vec![
        sweep::swept(),
        rollback_sweep::swept().await,
        backup_sweep::swept(),
        downgrade_sweep::swept().await,
    ];
    plans.extend(climb_sweep::swept());
    plans.extend(restore_sweep::swept().await);
    plans
}

#[test]
fn every_action_is_in_a_sweep() {
    let met: BTreeSet<String> = paused(plans()).iter().flat_map(actions).collect();
    let missing: Vec<String> = all().difference(&met).cloned().collect();
    assert_eq!(missing, Vec::<String>::new());
}
