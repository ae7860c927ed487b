//! What to do when sudo or doas refuses.

use crate::inventory::Escalation;

/// What to do about a password that sudo did not take.
pub(super) const WRONG_PASSWORD: &str = "one password is used for all hosts: type it again, or look at the file of `--become-password-file`; it was tried once on this host and is not tried again in this run";

/// Who refused, and the fix. Only the hint is taken from the words; that there was a refusal is known from the marks.
pub(super) fn refusal(
    escalation: Escalation,
    user: Option<&str>,
    password: bool,
    said: &str,
) -> (&'static str, String) {
    let user = user.unwrap_or("USER");
    match escalation {
        Escalation::None => {
            let hint =
                "set `become = \"sudo\"` (or `-b`), or log in as root with `user = \"root\"`";
            ("become = false", hint.into())
        }
        Escalation::Sudo => ("sudo", sudo(user, said)),
        Escalation::Doas => ("doas", doas(user, password)),
    }
}

/// doas reads passwords from a terminal alone, and there is none.
fn doas(user: &str, password: bool) -> String {
    let rule = format!("put `permit nopass {user} as root` into doas.conf on the host");
    if password {
        format!(
            "doas cannot be given a password, `-K` and `--become-password-file` are for sudo: {rule}"
        )
    } else {
        rule
    }
}

fn sudo(user: &str, said: &str) -> String {
    let rule = format!(
        "`{user} ALL=(root) NOPASSWD: ALL` in a file under /etc/sudoers.d, made with `visudo -f`"
    );
    let has = |sign| said.contains(sign);
    if has("sudo: not found") {
        "sudo is not installed on the host: install it, or set `become = \"doas\"`, or log in as root".into()
    } else if has(" tty ") {
        format!("sudo there wants a terminal: add `Defaults:{user} !requiretty` to its sudoers")
    } else if has("not in the sudoers") || has("not allowed") || has("may not run") {
        format!("the login user has no right to run `/bin/sh` as root: add {rule}")
    } else if has("password is required") {
        format!("give sudo's password with `-K` or `--become-password-file FILE`, or add {rule}")
    } else {
        format!(
            "sudo must be able to run `/bin/sh` as root: see its words and its log, or add {rule}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_sudo_has_its_own_fix() {
        let hint = |said| refusal(Escalation::Sudo, Some("ops"), false, said).1;
        let hinted = hint("sudo: a password is required");
        assert!(hinted.contains("`-K`") && hinted.contains("add `ops ALL="));
        assert!(hint("ops is not in the sudoers file.").contains("no right"));
        assert!(hint("sudo: sorry, you must have a tty to run sudo").contains("requiretty"));
        assert!(hint("/bin/sh: 1: sudo: not found").contains("install"));
        assert_eq!(
            refusal(Escalation::None, None, false, "").0,
            "become = false"
        );
        let by_doas = refusal(Escalation::Doas, Some("ops"), true, "").1;
        assert!(by_doas.contains("cannot be given a password"));
    }
}
