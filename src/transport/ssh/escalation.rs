//! What to do when sudo or doas refuses.

use crate::inventory::Escalation;

/// Who refused, and the fix. Only the hint is taken from the words; that there was a refusal is known from the marks.
pub(super) fn refusal(escalation: Escalation, said: &str) -> (&'static str, String) {
    match escalation {
        Escalation::None => (
            "become = false",
            "set `become = \"sudo\"` (or `-b`), or log in as root with `user = \"root\"`".into(),
        ),
        Escalation::Sudo => ("sudo", sudo(said)),
        Escalation::Doas => (
            "doas",
            "let doas.conf on the host have `permit nopass USER as root` for the login user".into(),
        ),
    }
}

fn sudo(said: &str) -> String {
    let rule = "`USER ALL=(root) NOPASSWD: ALL` for the login user, in a file under /etc/sudoers.d made with `visudo -f`";
    if said.contains("not found") {
        "sudo is not installed on the host: install it, or set `become = \"doas\"`, or log in as root".to_owned()
    } else if said.contains("tty") {
        "sudo there wants a terminal: add `Defaults:USER !requiretty` for the login user to its sudoers".to_owned()
    } else if said.contains("not in the sudoers")
        || said.contains("not allowed")
        || said.contains("may not run")
    {
        format!("the login user has no right to run `/bin/sh` as root: add {rule}")
    } else {
        format!("sudo must give root without a password: add {rule}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_sudo_has_its_own_fix() {
        let hint = |said| refusal(Escalation::Sudo, said).1;
        assert!(hint("sudo: a password is required").contains("without a password"));
        assert!(hint("ops is not in the sudoers file.").contains("no right"));
        assert!(hint("sudo: sorry, you must have a tty to run sudo").contains("requiretty"));
        assert!(hint("/bin/sh: 1: sudo: not found").contains("install"));
        assert_eq!(refusal(Escalation::None, "").0, "become = false");
    }
}
