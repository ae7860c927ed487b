//! A transport that runs scripts on this machine, by any POSIX shell: the real scripts against made-up hosts.

use std::path::PathBuf;
use std::process::Stdio;

use async_trait::async_trait;
use runner::transport::{Command, Output, Stage, Transport, Unreachable};

/// What a login might bring along and no question may be steered by.
const STRAY: [(&str, &str); 4] = [
    ("ETCDCTL_ENDPOINTS", "http://192.0.2.1:2379"),
    ("ETCDCTL_CACERT", "/nonexistent/ca.crt"),
    ("ETCD_NAME", "stray"),
    ("https_proxy", "http://192.0.2.1:3128"),
];

/// Runs each script by `shell`, with `path` before the usual folders.
pub struct LocalShell {
    /// The shell and its words: `dash`, `bash --posix`.
    pub shell: Vec<&'static str>,
    /// A folder of stand-ins that come first on the PATH.
    pub path: PathBuf,
}

#[async_trait]
impl Transport for LocalShell {
    async fn run(&self, host: &str, command: Command) -> Result<Output, Unreachable> {
        let failed = |said: String| Unreachable {
            host: host.to_owned(),
            stage: Stage::Configuration,
            said,
            hint: format!("install `{}`, which this test needs", self.shell[0]),
        };
        let mut process = tokio::process::Command::new(self.shell[0]);
        process
            .args(&self.shell[1..])
            .args(["-c", &command.script, "sh"])
            .args(&command.args)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path.display()))
            .envs(STRAY)
            .stdin(Stdio::null());
        for (name, secret) in &command.secrets {
            process.env(name, secret.reveal());
        }
        let waited = tokio::time::timeout(command.deadline, process.output()).await;
        let ended = waited.map_err(|_| failed("no answer in time".to_owned()))?;
        let output = ended.map_err(|error| failed(error.to_string()))?;
        Ok(Output {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}
