//! Hosts: the unit, the binaries and the data folder.

use crate::facts::UnitFacts;
use crate::plan::Finding;
use crate::plan::options::Options;
use crate::plan::seats::Seat;

use super::trimmed;

/// A stop with open watches took 16.5 s; etcd's own limit is higher. Sixty leave room.
const STOP_TIMEOUT_S: u64 = 60;

pub(super) fn state(seats: &[Seat]) -> Vec<Finding> {
    seats
        .iter()
        .flat_map(|seat| {
            let unit = unit(seat);
            unit.into_iter().chain(drift(seat))
        })
        .collect()
}

pub(super) fn work(seats: &[Seat]) -> Vec<Finding> {
    seats
        .iter()
        .flat_map(|seat| {
            [exec(seat), data_dir(seat), etcdctl(seat)]
                .into_iter()
                .flatten()
        })
        .collect()
}

fn unit(seat: &Seat) -> Vec<Finding> {
    let (host, unit) = (seat.host, &seat.facts.unit);
    let subject = format!("{} on {}", host.unit, host.name);
    if unit.load_state != "loaded" {
        let reason = format!("systemd says `{}`, it must be `loaded`", unit.load_state);
        return vec![
            Finding::block("UNIT_NOT_FOUND", subject, reason).hint(format!(
                "set `unit` of {} to the unit that runs etcd",
                host.name
            )),
        ];
    }
    let active = (unit.active_state != "active").then(|| {
        let (state, sub) = (&unit.active_state, &unit.sub_state);
        let reason = format!("systemd says `{state}` ({sub}), it must be `active`");
        Finding::block("UNIT_NOT_ACTIVE", &subject, reason).hint(format!(
            "look at `journalctl -u {}`; etcd may run outside of the unit",
            host.unit
        ))
    });
    active.into_iter().chain(warnings(&subject, unit)).collect()
}

fn warnings(subject: &str, unit: &UnitFacts) -> Vec<Finding> {
    let disabled = (unit.enabled == "disabled").then(|| {
        let reason = "systemd says `disabled`, so etcd does not come back after a reboot";
        Finding::warn("UNIT_DISABLED", subject, reason).hint("`systemctl enable` it")
    });
    let reload = unit.needs_reload.then(|| {
        let reason =
            "its files changed since systemd read them; the next start may differ from this one";
        Finding::warn("UNIT_RELOAD", subject, reason)
            .hint("look at the change, then `systemctl daemon-reload`")
    });
    let stop = unit.timeout_stop_s.filter(|&limit| limit < STOP_TIMEOUT_S);
    let stop = stop.map(|limit| {
        let reason =
            format!("TimeoutStopSec is {limit} s, {STOP_TIMEOUT_S} s let etcd finish open watches");
        Finding::warn("STOP_TIMEOUT", subject, reason).hint("raise it with a drop-in")
    });
    disabled.into_iter().chain(reload).chain(stop).collect()
}

fn drift(seat: &Seat) -> Option<Finding> {
    let running = seat.version()?;
    let binary = seat.facts.binaries.get("etcd")?;
    let found = match &binary.version {
        Some(version) if version == running => return None,
        Some(version) => version.to_string(),
        None => "of no version that it could tell".to_owned(),
    };
    Some(
        Finding::acknowledge(
            "BINARY_DRIFT",
            &seat.host.name,
            format!(
                "`{}/etcd` is {found}, what runs is {running}: a restart would change it",
                trimmed(&seat.host.bin_dir)
            ),
        )
        .hint("an undo leads to what is installed unless the running release is staged"),
    )
}

fn exec(seat: &Seat) -> Option<Finding> {
    let want = format!("{}/etcd", trimmed(&seat.host.bin_dir));
    let exec = &seat.facts.unit.exec;
    if seat.facts.unit.load_state != "loaded" || *exec == want {
        return None;
    }
    let hint = match exec.strip_suffix("/etcd") {
        Some(folder) if !folder.is_empty() => {
            format!("set `bin_dir = \"{folder}\"` in the inventory")
        }
        _ => format!("let the unit start `{want}`, which is what an upgrade switches"),
    };
    Some(
        Finding::block(
            "UNIT_EXEC",
            format!("{} on {}", seat.host.unit, seat.host.name),
            format!("it starts `{exec}`, the inventory's `bin_dir` says `{want}`"),
        )
        .hint(hint),
    )
}

/// The folder in use, which the facts tell with links resolved, or the one that etcd was told.
fn data_dir(seat: &Seat) -> Option<Finding> {
    let (host, data) = (seat.host, &seat.facts.data);
    let want = trimmed(&host.data_dir);
    if !data.exists {
        return Some(
            Finding::block(
                "DATA_DIR",
                &host.name,
                format!("`{want}` has no `member/wal`, a member has one"),
            )
            .hint("set `data_dir` to the folder in use"),
        );
    }
    let told = told(seat);
    if data.in_use.is_empty() || trimmed(&data.in_use) == want || told.as_deref() == Some(want) {
        return None;
    }
    Some(
        Finding::block(
            "DATA_DIR",
            &host.name,
            format!("etcd uses `{}`, the inventory says `{want}`", data.in_use),
        )
        .hint(format!(
            "set `data_dir = \"{}\"` in the inventory",
            data.in_use
        )),
    )
}

fn told(seat: &Seat) -> Option<String> {
    let options = Options::of(seat, &[]);
    options.get("data-dir").map(|path| trimmed(path).to_owned())
}

pub(super) fn etcdctl(seat: &Seat) -> Option<Finding> {
    let staged = seat
        .facts
        .staged
        .values()
        .any(|files| files.contains_key("etcdctl"));
    if staged || seat.facts.binaries.contains_key("etcdctl") {
        return None;
    }
    Some(
        Finding::block(
            "ETCDCTL_MISSING",
            &seat.host.name,
            format!(
                "0 of 2 places have etcdctl: `{}` and `{}`",
                seat.host.bin_dir, seat.host.install_dir
            ),
        )
        .hint("install the etcdctl of the running release: the backup and every check need it"),
    )
}
