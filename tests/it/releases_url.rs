//! Releases from a web server on loopback.

use std::fs;

use runner::releases::ReleaseError;

use crate::releases_kit::{
    Bench, V, arches, archive, archive_name, assert_whole, put_debs, sum_line,
};
use crate::releases_server::{Reply, Server};

#[test]
fn a_release_from_a_url_is_fetched_once_and_then_needs_no_network() {
    let (bench, server) = (Bench::new(), Server::start());
    let name = archive_name(V, arches().0);
    let body = archive(V, arches().0);
    server.serve(&format!("/v{V}/{name}"), Reply::ok(body.clone()));
    let pattern = server.url("/v{version}/etcd-v{version}-linux-{arch}.tar.gz");
    let first = bench.get(&pattern, None).unwrap();
    assert_whole(&first);
    assert_eq!(first.origin, server.url(&format!("/v{V}/{name}")));
    assert_eq!(server.asked(), [format!("/v{V}/{name}")]);
    assert!(
        bench
            .told
            .lock()
            .unwrap()
            .contains(&"Downloading".to_owned())
    );
    assert_eq!(bench.get(&pattern, None).unwrap(), first);
    assert_eq!(server.asked(), Vec::<String>::new());
    // a list that is named only now is asked once, and the archive is not fetched again
    server.serve(
        "/3.5.16.sums",
        Reply::ok(sum_line(&body, &name).into_bytes()),
    );
    let sums = server.url("/{version}.sums");
    for asked in [vec!["/3.5.16.sums".to_owned()], Vec::new()] {
        assert!(bench.get(&pattern, Some(&sums)).unwrap().confirmed);
        assert_eq!(server.asked(), asked);
    }
}

#[test]
fn a_pair_of_packages_comes_from_two_urls() {
    let (bench, server) = (Bench::new(), Server::start());
    let mut urls = Vec::new();
    for path in put_debs(&bench.source(), V, arches().0) {
        let name = format!("/{}", path.file_name().unwrap().to_str().unwrap());
        server.serve(&name, Reply::ok(fs::read(&path).unwrap()));
        urls.push(server.url(&name));
    }
    let release = bench.get(&urls.join(", "), None).unwrap();
    assert_whole(&release);
    assert_eq!(bench.cached().len(), 1);
}

#[test]
fn what_a_server_cannot_give_is_named_and_leaves_nothing() {
    let (bench, server) = (Bench::new(), Server::start());
    let body = archive(V, arches().0);
    let url = server.url("/etcd.tar.gz");
    let refused = |reply: Reply, sums: Option<&str>| {
        server.serve("/etcd.tar.gz", reply);
        let error = bench.get(&url, sums).unwrap_err();
        assert_eq!(bench.cached(), Vec::<String>::new(), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
        error
    };
    let status = |status| Reply {
        status,
        body: Vec::new(),
        sent: 0,
    };
    let error = refused(status(404), None).to_string();
    assert!(error.contains("there may be no etcd 3.5.16 for"), "{error}");
    assert!(matches!(
        refused(status(503), None),
        ReleaseError::Http { status: 503, .. }
    ));
    let cut = Reply {
        sent: body.len() / 2,
        ..Reply::ok(body.clone())
    };
    let error = refused(cut, None);
    assert!(
        matches!(
            error,
            ReleaseError::Transfer { .. } | ReleaseError::Short { .. }
        ),
        "{error}"
    );
    server.serve(
        "/sums",
        Reply::ok(sum_line(b"else", "etcd.tar.gz").into_bytes()),
    );
    server.serve("/etcd.tar.gz", Reply::ok(body));
    let error = bench.get(&url, Some(&server.url("/sums"))).unwrap_err();
    assert!(matches!(error, ReleaseError::WrongHash { .. }), "{error}");
    assert!(bench.cached().is_empty());
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_a_hint() {
    let bench = Bench::new();
    let url = Server::start().url("/etcd.tar.gz"); // it is gone at the end of this statement
    let error = bench.get(&url, None).unwrap_err();
    assert!(matches!(error, ReleaseError::Transfer { .. }), "{error}");
    assert!(error.hint().contains("network"));
}

#[test]
fn a_server_that_does_not_speak_tls_is_an_error() {
    let (bench, server) = (Bench::new(), Server::start());
    let url = server.url("/etcd.tar.gz").replace("http:", "https:");
    let error = bench.get(&url, None).unwrap_err();
    assert!(matches!(error, ReleaseError::Transfer { .. }), "{error}");
    assert!(bench.cached().is_empty());
}
