//! How scripts call etcdctl on a host.

use crate::inventory::Host;
use crate::secret::Secret;

/// Shell functions for a script whose first six arguments are those of [`endpoint_args`]: `client` finds an
/// etcdctl, `ctl SECONDS ARGS…` runs it.
///
/// The environment is cleaned of everything that etcdctl or Go would read, except the user and password that came
/// on stdin; they are exported, never put on a command line.
macro_rules! client {
    () => {
        r#"
set -eu
export LC_ALL=C
bin=$1 install=$2 url=$3 cacert=$4 cert=$5 key=$6
shift 6
die() { printf '%s\n' "$1" >&2; exit 1; }
for name in $(env | sed -n 's/^\(ETCDCTL_[A-Z_]*\)=.*/\1/p'); do
  [ "$name" = ETCDCTL_USER ] || unset "$name"
done
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export ETCDCTL_API=3
etcdctl=
client() {
  for etcdctl in "$bin/etcdctl" "$install"/*/etcdctl; do
    if [ -x "$etcdctl" ]; then return 0; fi
  done
  etcdctl=$(command -v etcdctl) || die "no etcdctl in \`$bin\` or under \`$install\`"
}
ctl() {
  secs=$1
  shift
  [ -z "$key" ] || set -- --key "$key" "$@"
  [ -z "$cert" ] || set -- --cert "$cert" "$@"
  [ -z "$cacert" ] || set -- --cacert "$cacert" "$@"
  timeout -k 2 "$secs" "$etcdctl" --endpoints "$url" "$@"
}
client
"#
    };
}
pub(crate) use client;

/// The six arguments that `client!` expects; an empty text stands for none.
pub fn endpoint_args(host: &Host) -> [String; 6] {
    let tls = host.tls.clone().unwrap_or_default();
    [
        host.bin_dir.clone(),
        host.install_dir.clone(),
        host.client_url.clone(),
        tls.cacert.unwrap_or_default(),
        tls.cert.unwrap_or_default(),
        tls.key.unwrap_or_default(),
    ]
}

/// etcd's user and password, if authentication is on, as etcdctl reads them.
pub fn secrets(host: &Host) -> Vec<(String, Secret)> {
    let login = |auth: &crate::inventory::Auth| {
        let pair = format!("{}:{}", auth.user, auth.password.reveal());
        ("ETCDCTL_USER".to_owned(), Secret::new(pair))
    };
    host.auth.iter().map(login).collect()
}
