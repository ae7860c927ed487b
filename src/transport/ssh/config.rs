//! The private ssh configuration of one host: our options first, then the user's own configuration.
//!
//! A file rather than `-o` options, because ssh hands `-F` on to the processes that it starts for `ProxyJump`, so
//! that jump hosts of the user's configuration obey the same rules. Jump hosts of the inventory are connections of their
//! own; what is behind them goes through their control sockets by `ProxyCommand`.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::way::Through;
use crate::inventory::{HostKeyPolicy, Ssh};

/// How often an idle connection is probed. NAT boxes forget after a minute or more, and three missed answers end a
/// dead connection within half a minute, well before any step's deadline.
const ALIVE_INTERVAL_S: u32 = 10;
/// Missed answers until the connection counts as lost.
const ALIVE_MISSES: u32 = 3;

/// The files of one connection attempt.
pub(super) struct Files {
    /// The control socket.
    pub(super) socket: PathBuf,
    /// The configuration of the destination.
    pub(super) config: PathBuf,
    /// What ssh says.
    pub(super) log: PathBuf,
    /// What ssh's helpers, such as a `ProxyCommand` of the user's configuration, and banners say.
    pub(super) stderr: PathBuf,
    /// What the ssh says that goes through the last jump host's socket.
    pub(super) proxy: PathBuf,
}

/// Writes the files for an attempt with this number, or says what in the settings cannot be used.
pub(super) fn write(
    folder: &Path,
    number: u64,
    ssh: &Ssh,
    timeout: Duration,
    through: Option<&Through>,
) -> Result<Files, String> {
    check_files(ssh)?;
    let user = includes(ssh, &folder.join(format!("{number}.u")))?;
    let file = |kind: &str| folder.join(format!("{number}.{kind}"));
    let files = Files {
        socket: file("s"),
        config: file("c"),
        log: file("l"),
        stderr: file("e"),
        proxy: file("p"),
    };
    let common = common(ssh, timeout)?;
    let proxy = through.map(|through| proxy_line(through, &files.proxy));
    let text = format!("Host *\n{common}{}{user}", proxy.unwrap_or_default());
    save(&files.config, &text)?;
    Ok(files)
}

/// Options for destination and jump hosts. ssh takes the first value it meets, so these win over the user's.
fn common(ssh: &Ssh, timeout: Duration) -> Result<String, String> {
    let policy = match ssh.host_key_policy {
        HostKeyPolicy::Strict => "yes",
        HostKeyPolicy::AcceptNew => "accept-new",
    };
    let seconds = timeout.as_secs().max(1);
    let mut text = format!(
        "BatchMode yes\nStrictHostKeyChecking {policy}\nConnectTimeout {seconds}\nConnectionAttempts 1\n\
         ServerAliveInterval {ALIVE_INTERVAL_S}\nServerAliveCountMax {ALIVE_MISSES}\n\
         ControlMaster no\nControlPath none\nControlPersist no\nLogLevel INFO\n\
         RequestTTY no\nRemoteCommand none\nPermitLocalCommand no\nClearAllForwardings yes\nTunnel no\n\
         ForwardAgent no\nForwardX11 no\nUpdateHostKeys no\nVisualHostKey no\n"
    );
    if let Some(path) = &ssh.known_hosts {
        let _ = writeln!(text, "UserKnownHostsFile {}", value(path)?);
    }
    if let Some(path) = &ssh.identity_file {
        let _ = writeln!(text, "IdentityFile {}\nIdentitiesOnly yes", value(path)?);
    }
    Ok(text)
}

/// What ssh would have read by itself.
fn includes(ssh: &Ssh, copy: &Path) -> Result<String, String> {
    let Some(config) = &ssh.config else {
        return Ok("Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n".into());
    };
    if config.as_os_str() == "none" {
        return Ok(String::new());
    }
    let bad = |error| format!("{}: {error}", config.display());
    let path = std::path::absolute(expanded(config)).map_err(bad)?;
    if is_trusted_by_ssh(&path.metadata().map_err(bad)?) {
        return Ok(format!("Include {}\n", value(&path)?));
    }
    save(copy, &std::fs::read_to_string(&path).map_err(bad)?)?;
    Ok(format!("Include {}\n", value(copy)?))
}

/// Whether `Include` takes a file, which is stricter than `-F`: there, others may write to it. A copy is made then.
fn is_trusted_by_ssh(data: &Metadata) -> bool {
    let is_ours = data.uid() == 0 || data.uid() == rustix::process::getuid().as_raw();
    data.is_file() && is_ours && data.mode() & 0o022 == 0
}

/// Refuses files that are named and missing: ssh would go on without them and fail with other words.
fn check_files(ssh: &Ssh) -> Result<(), String> {
    for path in [&ssh.identity_file, &ssh.config].into_iter().flatten() {
        let has_tokens = path.to_string_lossy().contains(['%', '$']);
        if !has_tokens
            && path.as_os_str() != "none"
            && let Err(error) = std::fs::File::open(expanded(path))
        {
            return Err(format!("{}: {error}", path.display()));
        }
    }
    Ok(())
}

/// A path with a leading `~/` replaced, as ssh does.
fn expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

/// A path as a value of ssh's configuration.
fn value(path: &Path) -> Result<String, String> {
    let text = path
        .to_str()
        .ok_or_else(|| format!("{}: the path is not UTF-8", path.display()))?;
    if text.contains(['"', '\\']) || text.contains(char::is_control) {
        return Err(format!(
            "{text:?}: ssh's configuration cannot hold this path"
        ));
    }
    Ok(format!("\"{text}\""))
}

/// The line that goes through the socket of a jump host. It is run by the user's shell, whichever that is. Without that
/// socket ssh would go there by itself: a proxy that fails keeps it from that.
fn proxy_line(through: &Through, log: &Path) -> String {
    format!(
        "ProxyCommand ssh -F none -E {} -o ProxyCommand=false -S {} -W '[%h]:%p' -- runner\n",
        log.display(),
        through.socket.display(),
    )
}

/// A jump host as `ssh -J` takes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Jump {
    /// The login user; ssh's configuration decides if left out.
    pub(super) user: Option<String>,
    /// A name, an address or an alias.
    pub(super) host: String,
    /// The port.
    pub(super) port: Option<u16>,
}

impl Jump {
    /// Reads `[ssh://][user@]host[:port]`; an IPv6 address with a port stands in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a jump host; write `[user@]host[:port]`");
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        let (user, place) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(user, place)| (Some(user), place));
        let (host, port) = match place
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
        {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(bad)?)),
            None => match place.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (place, None),
            },
        };
        let port = port.map(str::parse).transpose().map_err(|_| bad())?;
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.contains(|c: char| c.is_control() || " '\"\\$`!,;".contains(c))
        };
        if !is_plain(host) || !user.is_none_or(is_plain) {
            return Err(bad());
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }
}

fn save(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_jump_host_is_refused_or_has_nothing_that_means_more_to_ssh_or_a_shell(text in r#".*|[-a-z@:/\[\]'"$`;, ]{0,16}"#) {
            let Ok(jump) = Jump::parse(&text) else { return Ok(()) };
            for part in jump.user.iter().chain([&jump.host]) {
                prop_assert!(!part.is_empty() && !part.starts_with('-'), "{jump:?}");
                prop_assert!(!part.contains(|c: char| c.is_control() || " '\"$`;,".contains(c)), "{jump:?}");
            }
        }
    }

    #[test]
    fn jump_hosts_are_read_as_ssh_reads_them() {
        let jump = |user: Option<&str>, host: &str, port| Jump {
            user: user.map(Into::into),
            host: host.into(),
            port,
        };
        assert_eq!(Jump::parse("bastion"), Ok(jump(None, "bastion", None)));
        assert_eq!(
            Jump::parse("ops@bastion:2222"),
            Ok(jump(Some("ops"), "bastion", Some(2222)))
        );
        assert_eq!(
            Jump::parse("ssh://ops@[fd00::1]:22"),
            Ok(jump(Some("ops"), "fd00::1", Some(22)))
        );
        assert_eq!(
            Jump::parse("fe80::1%eth0"),
            Ok(jump(None, "fe80::1%eth0", None))
        );
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a'b",
            "host:port",
            "user@",
            "a,b",
            "$(id)",
            "[::1]22",
        ] {
            assert!(Jump::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ssh_itself_takes_our_options_before_those_of_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("user config");
        std::fs::write(&own, "RequestTTY force\nRemoteCommand cat\nLogLevel QUIET\nHost alias\n HostName 127.0.0.9\n User carol\n").unwrap();
        let ssh = Ssh {
            config: Some(own),
            known_hosts: Some("/x y/known".into()),
            ..Ssh::default()
        };
        let files = write(folder.path(), 3, &ssh, Duration::from_secs(7), None).unwrap();
        let out = std::process::Command::new("ssh")
            .arg("-F")
            .arg(&files.config)
            .args(["-G", "--", "alias"])
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        for line in [
            "hostname 127.0.0.9",
            "user carol",
            "requesttty false",
            "stricthostkeychecking true",
            "connecttimeout 7",
            "loglevel INFO",
            "batchmode yes",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is not in\n{text}{}",
                String::from_utf8_lossy(&out.stderr)
            );
        }
        assert!(
            text.contains("userknownhostsfile /x y/known") && !text.contains("remotecommand cat"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_identity_file_is_named() {
        let ssh = Ssh {
            identity_file: Some("/nowhere/key".into()),
            ..Ssh::default()
        };
        let said = write(Path::new("/"), 1, &ssh, Duration::from_secs(1), None)
            .err()
            .unwrap();
        assert!(said.starts_with("/nowhere/key: No such file"), "{said}");
    }

    #[test]
    fn what_is_behind_a_jump_host_goes_through_its_socket_whatever_the_user_configured() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        std::fs::write(&own, "ProxyJump elsewhere\nProxyCommand elsewhere\n").unwrap();
        let ssh = Ssh {
            jump: vec!["bastion".into()],
            config: Some(own),
            ..Ssh::default()
        };
        let through = Through {
            jump: "bastion".into(),
            socket: "/f/1.s".into(),
            log: "/f/1.l".into(),
        };
        let second = Duration::from_secs(1);
        let files = write(folder.path(), 5, &ssh, second, Some(&through)).unwrap();
        let mut asked = std::process::Command::new("ssh");
        asked
            .arg("-F")
            .arg(&files.config)
            .args(["-G", "--", "fd00::1"]);
        let text = String::from_utf8(asked.output().unwrap().stdout).unwrap();
        let wanted = "-o ProxyCommand=false -S /f/1.s -W '[%h]:%p' -- runner\n";
        assert!(
            text.contains(wanted) && !text.contains("elsewhere"),
            "{text}"
        );
    }
}
