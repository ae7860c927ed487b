//! What is said of a lab that is kept.

use std::collections::BTreeSet;

use crate::etcd::Version;
use crate::lab::Lab;

/// The newest release of the target's line: where a kept lab can be taken next.
pub(super) fn next<'v>(to: &'v Version, releases: &'v BTreeSet<Version>) -> &'v Version {
    let line = releases
        .iter()
        .filter(|version| version.minor() == to.minor());
    line.max().unwrap_or(to)
}

/// How to go on with a kept lab: lines to paste into any terminal.
pub(super) fn visit(lab: &Lab, next: &Version) -> String {
    let program = std::env::args().next().unwrap_or_default();
    let runner = match program.as_str() {
        "" => "runner",
        program => program,
    };
    let runner = word(runner);
    let inventory = word(&lab.inventory().display().to_string());
    let config = word(&lab.ssh_config().display().to_string());
    let address = lab.hosts().first().map(|host| host.address.to_string());
    let address = address.unwrap_or_default();
    format!(
        "the lab is kept:\n  {runner} status -i {inventory}\n  {runner} plan -i {inventory} --to {next}\n  \
         {runner} upgrade -i {inventory} --to {next}\n  ssh -F {config} root@{address}\n  \
         {runner} rehearse --destroy\n"
    )
}

/// A word for a shell; quoted only where it must be.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_lab_goes_next_to_the_newest_release_of_its_line() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let there = ["3.4.23", "3.5.16", "3.5.30", "3.6.4"].map(version);
        let to = version("3.5.16");
        assert_eq!(next(&to, &BTreeSet::from(there)), &version("3.5.30"));
        assert_eq!(next(&to, &BTreeSet::new()), &to);
    }

    #[test]
    fn lines_to_paste_are_quoted_only_where_a_shell_would_trip() {
        assert_eq!(word("/var/lib/a-b_1.toml"), "/var/lib/a-b_1.toml");
        assert_eq!(word("/my lab/it's"), r"'/my lab/it'\''s'");
    }
}
