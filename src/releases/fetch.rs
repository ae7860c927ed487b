//! Files from the network, by HTTP. `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` are honoured.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, http};

use super::digest::Hashing;
use super::error::ReleaseError;
use super::{Progress, Watch};
use crate::etcd::Version;
use crate::facts::Arch;

/// No archive of etcd has come near this.
pub(super) const MOST: u64 = 512 << 20;

const MOST_TEXT: u64 = 1 << 20;
const MIB: u64 = 1 << 20;

/// What is fetched and for what, so that a refusal can say so.
pub(super) struct Wanted<'a> {
    pub(super) url: &'a str,
    pub(super) version: &'a Version,
    pub(super) arch: Arch,
}

/// Fetches a file of at most `most` bytes and returns its SHA-256.
pub(super) fn download(
    wanted: &Wanted<'_>,
    into: impl Write,
    most: u64,
    watch: &Watch<'_>,
) -> Result<String, ReleaseError> {
    let answer = get(wanted)?;
    let total = answer.body().content_length();
    let mut from = answer.into_body().into_with_config().reader();
    let mut hashing = Hashing::new(into);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = from.read(&mut buffer);
        let read = read.map_err(|cause| broken(wanted.url, cause))?;
        if read == 0 {
            break;
        }
        let done = hashing.bytes() + read as u64;
        if done > most {
            return Err(too_long(wanted.url, most));
        }
        let written = hashing.write_all(&buffer[..read]);
        written.map_err(|cause| unwritten(wanted.url, cause))?;
        let url = wanted.url;
        watch(Progress::Downloading { url, done, total });
    }
    complete(wanted.url, hashing.bytes(), total)?;
    Ok(hashing.finish())
}

fn too_long(url: &str, most: u64) -> ReleaseError {
    ReleaseError::TooLong {
        url: url.to_owned(),
        limit_mib: most / MIB,
    }
}

fn unwritten(url: &str, cause: io::Error) -> ReleaseError {
    ReleaseError::io("write the download of", Path::new(url), cause)
}

/// Fetches a short text.
pub(super) fn text(url: &str, version: &Version, arch: Arch) -> Result<String, ReleaseError> {
    let wanted = Wanted { url, version, arch };
    let mut bytes = Vec::new();
    download(&wanted, &mut bytes, MOST_TEXT, &|_| ())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn complete(url: &str, found: u64, total: Option<u64>) -> Result<(), ReleaseError> {
    match total {
        Some(expected) if expected != found => Err(ReleaseError::Short {
            url: url.to_owned(),
            found,
            expected,
        }),
        _ => Ok(()),
    }
}

fn get(wanted: &Wanted<'_>) -> Result<http::Response<Body>, ReleaseError> {
    agent(wanted.url)
        .get(wanted.url)
        .call()
        .map_err(|cause| match cause {
            ureq::Error::StatusCode(404) => ReleaseError::NotFound {
                url: wanted.url.to_owned(),
                version: wanted.version.clone(),
                arch: wanted.arch,
            },
            ureq::Error::StatusCode(status) => ReleaseError::Http {
                url: wanted.url.to_owned(),
                status,
            },
            other => transfer(wanted.url, other),
        })
}

fn transfer(url: &str, cause: ureq::Error) -> ReleaseError {
    ReleaseError::Transfer {
        url: url.to_owned(),
        cause: Box::new(cause),
    }
}

/// A transfer that broke off while the body was read.
fn broken(url: &str, cause: io::Error) -> ReleaseError {
    transfer(url, ureq::Error::Io(cause))
}

/// The certificates are those that the machine trusts. This machine's own addresses are never asked through a
/// proxy. The whole transfer may be slow, but no single read may stall.
fn agent(url: &str) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)));
    if is_own(url) {
        config.proxy(None)
    } else {
        config
    }
    .build()
    .new_agent()
}

fn is_own(url: &str) -> bool {
    let parsed = url.parse::<http::Uri>().ok();
    let host = parsed
        .as_ref()
        .and_then(http::Uri::host)
        .unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_too_long_is_not_read_to_its_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                assert!(stream.read(&mut request).unwrap() > 0);
            }
            let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            let mut sent = stream.write_all(head);
            while sent.is_ok() {
                sent = stream.write_all(&[0; 4096]); // until the client has had enough
            }
        });
        let version = Version::new(3, 5, 16);
        let wanted = Wanted {
            url: &url,
            version: &version,
            arch: Arch::Amd64,
        };
        let error = download(&wanted, io::sink(), 10_000, &|_| ()).unwrap_err();
        assert!(matches!(error, ReleaseError::TooLong { .. }), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn only_this_machines_addresses_bypass_a_proxy() {
        for url in [
            "http://localhost:1/x",
            "http://127.0.0.1:80/",
            "https://[::1]:8/",
        ] {
            assert!(is_own(url), "{url}");
        }
        for url in [
            "https://example.net/",
            "http://10.0.0.1/",
            "http://127.0.0.1.example.net/",
        ] {
            assert!(!is_own(url), "{url}");
        }
    }
}
