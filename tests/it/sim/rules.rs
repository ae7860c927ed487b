//! Rules that hold whatever is planned; one that is broken is noted.

use runner::etcd::dialect;

use super::model::{Host, State};

impl State {
    pub fn judge_start(&mut self, name: &str) {
        if self.hosts[name].needs_reload() {
            self.violations.push(format!(
                "{name} was started with a unit file not read again"
            ));
        }
    }

    /// Keys of API 2 that are dropped are in a copy of every member's store.
    pub fn judge_drop(&mut self) {
        let mut hosts = self.hosts.values();
        if !hosts.all(Host::saves_keys) {
            let what = "keys of API 2 were deleted before every member's store was copied";
            self.violations.push(what.to_owned());
        }
    }

    pub fn judge_stop(&mut self, name: &str) {
        if self.restoring {
            self.judge_stop_of_all(name);
            return;
        }
        let others = self.hosts.iter().filter(|(other, _)| *other != name);
        let down: Vec<&String> = others
            .filter(|(_, host)| !host.serves())
            .map(|(n, _)| n)
            .collect();
        let mut broken = Vec::new();
        if self.hosts[name].serves() && !down.is_empty() {
            broken.push(format!("{name} was stopped while {down:?} are down"));
        }
        if self.verified == 0 && !self.copies_stopped {
            broken.push(format!("{name} was stopped before a verified backup"));
        }
        let told = self
            .hosts
            .values()
            .all(|host| host.answers().is_none_or(dialect::moves_leader));
        if told && self.leader == Some(self.hosts[name].id()) && self.hosts.len() > 1 {
            broken.push(format!("{name} was stopped while it led"));
        }
        self.violations.extend(broken);
    }
}
