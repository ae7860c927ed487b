//! One layer of settings, and how a higher one covers a lower one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::source::Pos;
use super::{Escalation, FanOut, HostKeyPolicy};
use crate::etcd::Version;

/// A value and where it was set.
#[derive(Clone, Debug, PartialEq)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub pos: Pos,
    /// The kind of table that it stands in.
    pub scope: Scope,
}

/// The kind of table that a setting stands in. Decides which keys are known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `[defaults]`.
    Defaults,
    /// The top of the file: `[backup]` and `[releases]`.
    Top,
    /// `[clusters.NAME]`.
    Cluster,
    /// `[clusters.NAME.hosts.HOST]`.
    Host,
    /// `-e`.
    CommandLine,
}

/// A file that a template is rendered to.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSetting {
    /// The template's file here.
    pub src: PathBuf,
    /// Where `src` stands.
    pub src_pos: Pos,
    /// The file on the host.
    pub dest: String,
    /// Where `dest` stands.
    pub dest_pos: Pos,
    /// Its mode.
    pub mode: u32,
    /// `USER:GROUP`.
    pub owner: String,
}

/// Where releases come from, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The text.
    pub text: String,
    /// The folder that a relative path starts from.
    pub base: PathBuf,
}

macro_rules! layer {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// The settings of one table; what is `None` is left to the layer below.
        #[derive(Clone, Debug, Default)]
        pub struct Layer {
            $($(#[$doc])* pub $name: Option<Set<$kind>>,)*
            /// Variables for templates, merged by name.
            pub vars: BTreeMap<String, Set<Json>>,
        }

        impl Layer {
            /// This layer, and what it leaves out from the one below.
            #[must_use]
            pub fn over(&self, below: &Self) -> Self {
                let mut vars = below.vars.clone();
                vars.extend(self.vars.iter().map(|(k, v)| (k.clone(), v.clone())));
                Self {
                    $($name: self.$name.as_ref().or(below.$name.as_ref()).cloned(),)*
                    vars,
                }
            }
        }
    };
}

layer! {
    /// `user`
    user: String,
    /// `port`
    port: u16,
    /// `identity_file`
    identity_file: PathBuf,
    /// `known_hosts`
    known_hosts: PathBuf,
    /// `host_key_policy`
    host_key_policy: HostKeyPolicy,
    /// `jump`
    jump: Vec<String>,
    /// `ssh_config`
    ssh_config: PathBuf,
    /// `become`
    escalation: Escalation,
    /// `unit`
    unit: String,
    /// `data_dir`
    data_dir: String,
    /// `bin_dir`
    bin_dir: String,
    /// `install_dir`
    install_dir: String,
    /// `backup_dir`
    backup_dir: String,
    /// `client_url`, with its placeholder
    client_url: String,
    /// `tls.cacert`
    tls_cacert: String,
    /// `tls.cert`
    tls_cert: String,
    /// `tls.key`
    tls_key: String,
    /// `auth.user`
    auth_user: String,
    /// `auth.password_file`
    auth_password_file: PathBuf,
    /// `templates.unit`
    template_unit: PathBuf,
    /// `templates.files`
    template_files: Vec<FileSetting>,
    /// `backup.keep`
    backup_keep: usize,
    /// `backup.fetch`
    backup_fetch: bool,
    /// `releases.source`
    releases_source: Source,
    /// `releases.sha256sums`; empty for none
    releases_sha256sums: String,
    /// `releases.fan_out`
    releases_fan_out: FanOut,
    /// `version` of a cluster
    version: Version,
    /// `address` of a host
    address: String,
    /// `member` of a host
    member: String,
}
