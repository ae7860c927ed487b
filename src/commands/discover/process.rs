//! What an etcd process says of its member: where it is kept and how it is reached. Pure.

use std::collections::BTreeMap;

use crate::facts::parse::{Frame, Frames};
use crate::inventory::Tls;
use crate::plan::options::{variable, yaml_keys};

/// An etcd process of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its systemd unit; empty if it runs outside of any.
    pub unit: String,
    /// The executable as the unit names it, else as the process was started.
    pub exec: String,
    /// The folder of the database that it holds open.
    opened: String,
    /// Its working folder.
    folder: String,
    argv: Vec<String>,
    environment: BTreeMap<String, String>,
    config: BTreeMap<String, String>,
    /// Certificates and keys beside the server's.
    files: Vec<String>,
}

/// Reads the processes of a host from the frames of the script.
pub fn processes(frames: &Frames) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    for frame in frames.iter() {
        if frame.name == "process" {
            found.push(Process::default());
        } else if let Some(process) = found.last_mut() {
            process.take(frame);
        }
    }
    found
}

impl Process {
    fn take(&mut self, frame: &Frame) {
        let text = frame.text();
        let lines = || text.lines().map(|line| line.replace('\u{1}', "\n"));
        match frame.name.as_str() {
            "argv" => self.argv = lines().collect(),
            "environment" => {
                let pairs = lines().filter_map(|line| {
                    let (key, value) = line.split_once('=')?;
                    Some((key.to_owned(), value.to_owned()))
                });
                self.environment = pairs.collect();
            }
            "unit" => self.unit = text,
            "exec" if !text.is_empty() => self.exec = text,
            "exec" => self.exec = self.argv.first().cloned().unwrap_or_default(),
            "data" => self.opened = text,
            "folder" => self.folder = text,
            "config" => self.config = yaml_keys(&text),
            "files" => self.files = lines().collect(),
            _ => {}
        }
    }

    /// An option's value: of the configuration file if there is one, which then rules alone, else of a flag, else of a
    /// variable.
    fn option(&self, name: &str) -> Option<String> {
        let value = if self.config.is_empty() {
            self.flag(name)
                .or_else(|| self.environment.get(&variable(name)).cloned())
        } else {
            self.config.get(name).cloned()
        };
        value.filter(|value| !value.is_empty())
    }

    /// A path of the clients' TLS: two levels deep in the configuration file.
    fn tls_option(&self, name: &str) -> Option<String> {
        let key = format!("client-transport-security.{name}");
        let path = self.config.get(&key).cloned();
        path.or_else(|| self.option(name))
            .map(|path| self.absolute(&path))
    }

    fn flag(&self, name: &str) -> Option<String> {
        let mut words = self.argv.iter().skip(1);
        let mut found = None;
        while let Some(word) = words.next() {
            let bare = word.trim_start_matches('-');
            if let Some(value) = bare.strip_prefix(name) {
                match value.strip_prefix('=') {
                    Some(value) => found = Some(value.to_owned()),
                    None if value.is_empty() => found = words.next().cloned(),
                    None => {}
                }
            }
        }
        found
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            let path = path.trim_start_matches("./");
            format!("{}/{path}", self.folder.trim_end_matches('/'))
        }
    }

    /// etcd's data folder, as it is configured, else as it is held open.
    pub fn data_dir(&self) -> Option<String> {
        let configured = self.option("data-dir").map(|path| self.absolute(&path));
        configured.or_else(|| Some(self.opened.clone()).filter(|path| !path.is_empty()))
    }

    /// The folder of the executable.
    pub fn bin_dir(&self) -> Option<String> {
        let (folder, _) = self.exec.rsplit_once('/')?;
        (!folder.is_empty()).then(|| folder.to_owned())
    }

    /// URLs by which the host may reach its member, the likeliest first. A certificate is rather for the address that
    /// clients are told than for the loopback.
    pub fn client_urls(&self) -> Vec<String> {
        let listed = |name: &str| -> Vec<String> {
            let value = self.option(name).unwrap_or_default();
            let urls = value
                .split(',')
                .map(|url| url.trim().trim_end_matches('/').to_owned());
            urls.filter(|url| url.starts_with("http")).collect()
        };
        let told = listed("advertise-client-urls");
        let mut heard = listed("listen-client-urls");
        if heard.is_empty() {
            heard.push("http://127.0.0.1:2379".to_owned());
        }
        let mut local: Vec<String> = heard.iter().map(|url| by_loopback(url)).collect();
        local.sort_by_key(|url| !url.contains("//127.0.0.1:"));
        let is_tls = heard.iter().all(|url| url.starts_with("https:"));
        let mut all = if is_tls {
            [told, local].concat()
        } else {
            [local, told].concat()
        };
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|url| seen.insert(url.clone()));
        all
    }

    /// Ways to be let in by the member, from none to the server's own certificate.
    pub fn ways(&self, url: &str) -> Vec<Option<Tls>> {
        if !url.starts_with("https:") {
            return vec![None];
        }
        let cacert = self.tls_option("trusted-ca-file");
        let way = |pair: Option<(String, String)>| {
            let (cert, key) = pair.unzip();
            Some(Tls {
                cacert: cacert.clone(),
                cert,
                key,
            })
        };
        let own = self
            .tls_option("cert-file")
            .zip(self.tls_option("key-file"));
        let mut ways = vec![way(None)];
        ways.extend(self.client_pairs().into_iter().map(|pair| way(Some(pair))));
        ways.extend(own.map(|pair| way(Some(pair))));
        ways
    }

    /// Certificates with keys that are named as those of clients usually are.
    fn client_pairs(&self) -> Vec<(String, String)> {
        let pair = |cert: &String| {
            let stem = cert
                .strip_suffix(".crt")
                .or_else(|| cert.strip_suffix(".pem"))?;
            let name = stem.rsplit('/').next().unwrap_or(stem);
            let fits = ["client", "etcdctl", "root", "admin"]
                .iter()
                .any(|word| name.contains(word));
            let keys = [format!("{stem}.key"), format!("{stem}-key.pem")];
            let key = keys.into_iter().find(|key| self.files.contains(key));
            key.filter(|_| fits).map(|key| (cert.clone(), key))
        };
        self.files.iter().filter_map(pair).collect()
    }
}

/// A URL that listens everywhere, by the loopback.
fn by_loopback(url: &str) -> String {
    url.replace("//0.0.0.0:", "//127.0.0.1:")
        .replace("//[::]:", "//127.0.0.1:")
        .replace("//localhost:", "//127.0.0.1:")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::facts::parse::frame;

    const FRAMES: [&str; 9] = [
        "process",
        "argv",
        "environment",
        "unit",
        "exec",
        "data",
        "folder",
        "config",
        "files",
    ];
    const PIECES: [&str; 12] = [
        "--data-dir",
        "--data-dir=",
        "-listen-client-urls=https://[::]:1,http",
        "advertise-client-urls: 'https://a:1,,'",
        "client-transport-security:",
        "  trusted-ca-file: [",
        "ETCD_DATA_DIR=..",
        "/pki/client.crt",
        "/pki/client.key",
        "\u{1}",
        "/",
        "\u{fe}",
    ];

    /// What a process may seem to say, whoever it is.
    fn body() -> impl Strategy<Value = String> {
        let piece = prop_oneof![select(&PIECES[..]).prop_map(str::to_owned), "(?s).{0,20}"];
        prop::collection::vec((piece, select(vec!["\n", "", "="])), 0..8)
            .prop_map(|pieces| pieces.into_iter().map(|(piece, end)| piece + end).collect())
    }

    proptest! {
        #[test]
        fn no_process_makes_the_reader_fall_over(parts in prop::collection::vec((select(&FRAMES[..]), body()), 0..12)) {
            let text: String = parts.iter().map(|(name, body)| frame(name, 0, body)).collect();
            for found in processes(&Frames::parse(text.as_bytes()).unwrap()) {
                let _ = (found.data_dir(), found.bin_dir());
                for url in found.client_urls() {
                    prop_assert!(url.starts_with("http"));
                    prop_assert!(!found.ways(&url).is_empty());
                }
            }
        }
    }

    fn process(parts: &[(&str, &str)]) -> Process {
        let text: String = std::iter::once(&("process", "1"))
            .chain(parts)
            .map(|(name, body)| frame(name, 0, body))
            .collect();
        processes(&Frames::parse(text.as_bytes()).unwrap()).remove(0)
    }

    #[test]
    fn flags_win_over_variables_and_relative_paths_start_at_the_working_folder() {
        let found = process(&[
            (
                "argv",
                "/usr/local/bin/etcd\n--name\nm1\n--data-dir=data\n-listen-client-urls\nhttp://0.0.0.0:2379",
            ),
            (
                "environment",
                "ETCD_DATA_DIR=/other\nETCD_ADVERTISE_CLIENT_URLS=http://10.0.0.1:2379",
            ),
            ("exec", ""),
            ("folder", "/srv"),
        ]);
        assert_eq!(found.data_dir().unwrap(), "/srv/data");
        assert_eq!(found.bin_dir().unwrap(), "/usr/local/bin");
        assert_eq!(
            found.client_urls(),
            ["http://127.0.0.1:2379", "http://10.0.0.1:2379"]
        );
        assert_eq!(found.ways("http://127.0.0.1:2379"), [None]);
    }

    #[test]
    fn a_configuration_file_rules_alone_and_client_certificates_are_tried_before_the_servers() {
        let found = process(&[
            (
                "argv",
                "/opt/etcd\n--config-file=/etc/etcd.yml\n--data-dir=/not/this",
            ),
            (
                "config",
                "data-dir: /data\nlisten-client-urls: https://10.0.0.1:2379\nclient-transport-security:\n  trusted-ca-file: /pki/ca.crt\n  cert-file: /pki/server.crt\n  key-file: /pki/server.key\n",
            ),
            (
                "files",
                "/pki/ca.crt\n/pki/server.crt\n/pki/server.key\n/pki/healthcheck-client.crt\n/pki/healthcheck-client.key",
            ),
        ]);
        assert_eq!(found.data_dir().unwrap(), "/data");
        let ways = found.ways("https://10.0.0.1:2379");
        let certs: Vec<Option<&str>> = ways
            .iter()
            .map(|way| way.as_ref().unwrap().cert.as_deref())
            .collect();
        assert_eq!(
            certs,
            [
                None,
                Some("/pki/healthcheck-client.crt"),
                Some("/pki/server.crt")
            ]
        );
        assert_eq!(
            ways[0].as_ref().unwrap().cacert.as_deref(),
            Some("/pki/ca.crt")
        );
    }
}
