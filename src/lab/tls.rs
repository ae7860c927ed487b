//! Certificates of a lab's clusters: one authority a lab, a certificate for each member and one for clients.

use std::path::PathBuf;

use serde_json::Value;

use super::dirs::{make, read, write};
use super::shape::MemberShape;
use super::tool::Tool;
use super::{Host, Lab, LabError};

/// Where a member has its own certificate when the inventory's `vars` do not say.
const SERVER: Files<'static> = Files {
    cert: "/etc/etcd/server.crt",
    key: "/etc/etcd/server.key",
    ca: "/etc/etcd/server-ca.crt",
};

/// Paths on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Files<'a> {
    cert: &'a str,
    key: &'a str,
    ca: &'a str,
}

/// The authority and what it has signed, in a folder of the lab.
#[derive(Clone, Debug)]
pub(super) struct Authority(PathBuf);

/// A certificate, its key and the authority, as PEM.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) ca: String,
}

impl Authority {
    /// The lab's authority, made at the first call.
    pub(super) fn of(lab: &Lab) -> Result<Self, LabError> {
        let authority = Self(lab.folder().join("pki"));
        if !authority.0.join("ca.crt").exists() {
            make(&authority.0)?;
            let extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign";
            authority.request("ca", "CN=runner lab", extensions, &[])?;
            let ends = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth";
            authority.signed("client", "CN=runner", ends)?;
            authority.signed("gateway", "O=runner", ends)?;
        }
        Ok(authority)
    }

    /// The certificate of clients that speak to the JSON gateway, which refuses a common name.
    pub(super) fn gateway_client(&self) -> Result<Identity, LabError> {
        self.identity("gateway")
    }

    /// The certificate of a host's member, for clients and for peers: a member is both sides of its peers'
    /// connections, and its gateway is a client of itself.
    fn server(&self, host: &Host) -> Result<Identity, LabError> {
        let extensions = format!(
            "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n\
             subjectAltName=IP:{},IP:127.0.0.1,DNS:localhost,DNS:{}",
            host.address, host.name
        );
        self.signed(&host.machine, &format!("O={}", host.name), &extensions)?;
        self.identity(&host.machine)
    }

    fn signed(&self, file: &str, name: &str, extensions: &str) -> Result<(), LabError> {
        let ca = [("-CA", "ca.crt"), ("-CAkey", "ca.key")];
        self.request(file, name, extensions, &ca)
    }

    /// Makes `FILE.key` and `FILE.crt`, signed by itself if no authority is given.
    fn request(
        &self,
        file: &str,
        name: &str,
        extensions: &str,
        authority: &[(&str, &str)],
    ) -> Result<(), LabError> {
        let place = |ending: &str| self.0.join(format!("{file}.{ending}"));
        let text = format!(
            "[req]\nprompt=no\ndistinguished_name=name\nx509_extensions=extensions\n\
             [name]\n{name}\n[extensions]\n{extensions}\n"
        );
        write(&place("cnf"), &text, 0o600)?;
        let new = ["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"];
        let mut tool = Tool::new("openssl").args(new);
        tool = tool.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        for (flag, file) in authority {
            tool = tool.arg(flag).arg(self.0.join(file));
        }
        tool = tool.arg("-config").arg(place("cnf"));
        tool = tool.arg("-keyout").arg(place("key"));
        tool.arg("-out").arg(place("crt")).run().map(drop)
    }

    fn identity(&self, file: &str) -> Result<Identity, LabError> {
        Ok(Identity {
            cert: read(&self.0.join(format!("{file}.crt")))?,
            key: read(&self.0.join(format!("{file}.key")))?,
            ca: read(&self.0.join("ca.crt"))?,
        })
    }
}

/// Places what a member and its clients need on its host, and returns the keys that etcd itself must be able to
/// read. Nothing for a member without TLS.
pub(super) fn place(lab: &Lab, member: &MemberShape) -> Result<Vec<String>, LabError> {
    let Some(tls) = &member.tls else {
        return Ok(Vec::new());
    };
    let (authority, host) = (Authority::of(lab)?, lab.host(&member.host)?);
    let root = host.root();
    let put =
        |path: &str, text: &str, mode| write(&root.join(path.trim_start_matches('/')), text, mode);
    let client = authority.identity("client")?;
    let wanted = [
        (&tls.cacert, &client.ca, 0o644),
        (&tls.cert, &client.cert, 0o644),
        (&tls.key, &client.key, 0o600),
    ];
    for (path, text, mode) in wanted {
        path.iter().try_for_each(|path| put(path, text, mode))?;
    }
    let server = authority.server(host)?;
    for files in [served(member, "client_tls"), served(member, "peer_tls")] {
        put(files.ca, &server.ca, 0o644)?;
        put(files.cert, &server.cert, 0o644)?;
        put(files.key, &server.key, 0o600)?;
    }
    let keys = ["client_tls", "peer_tls"].map(|kind| served(member, kind).key.to_owned());
    Ok(keys.into())
}

/// The flags by which etcd serves TLS: to peers always with certificates of both sides, to clients if they have
/// one to show.
pub(super) fn flags(member: &MemberShape) -> Vec<String> {
    let Some(tls) = &member.tls else {
        return Vec::new();
    };
    let (clients, peers) = (served(member, "client_tls"), served(member, "peer_tls"));
    let mut flags = vec![
        format!("--cert-file={}", clients.cert),
        format!("--key-file={}", clients.key),
        format!("--peer-cert-file={}", peers.cert),
        format!("--peer-key-file={}", peers.key),
        format!("--peer-trusted-ca-file={}", peers.ca),
        "--peer-client-cert-auth=true".to_owned(),
    ];
    if tls.cert.is_some() {
        flags.push(format!("--trusted-ca-file={}", clients.ca));
        flags.push("--client-cert-auth=true".to_owned());
    }
    flags
}

/// Where the configuration template of `templates/` would look for a member's own certificate.
fn served<'a>(member: &'a MemberShape, kind: &str) -> Files<'a> {
    let table = member.vars.get(kind);
    let path = |name: &str, usual: &'a str| {
        let said = table.and_then(|table| table.get(name));
        said.and_then(Value::as_str).unwrap_or(usual)
    };
    Files {
        cert: path("cert_file", SERVER.cert),
        key: path("key_file", SERVER.key),
        ca: path("ca_file", SERVER.ca),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Tls;

    fn member() -> MemberShape {
        let path = |name: &str| Some(format!("/etc/etcd/{name}"));
        let mut member = MemberShape::usual("etcd-1");
        member.tls = Some(Tls {
            cacert: path("ca.crt"),
            cert: path("client.crt"),
            key: path("client.key"),
        });
        member
    }

    #[test]
    fn a_member_without_tls_has_no_flags_for_it() {
        assert_eq!(flags(&MemberShape::usual("a")), Vec::<String>::new());
    }

    #[test]
    fn clients_need_a_certificate_only_where_the_inventory_has_one_to_show() {
        let mut member = member();
        let asks = |flags: Vec<String>| flags.contains(&"--client-cert-auth=true".to_owned());
        assert!(asks(flags(&member)));
        member.tls.as_mut().unwrap().cert = None;
        assert!(!asks(flags(&member)));
    }

    #[test]
    fn the_members_certificate_lies_where_the_variables_of_the_template_say() {
        let mut member = member();
        let files =
            serde_json::json!({"cert_file": "/a.crt", "key_file": "/a.key", "ca_file": "/a.ca"});
        member.vars.insert("peer_tls".to_owned(), files);
        let flags = flags(&member);
        assert!(flags.contains(&"--peer-key-file=/a.key".to_owned()));
        assert!(flags.contains(&"--key-file=/etc/etcd/server.key".to_owned()));
    }
}
