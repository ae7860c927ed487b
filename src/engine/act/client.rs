//! How scripts call etcdctl on a host.

pub use crate::facts::observe::{endpoint_args, secrets};

/// Shell functions for a script whose first six arguments are those of [`endpoint_args`]: `client` finds an
/// etcdctl, `ctl SECONDS ARGS…` runs it. To log in is a bcrypt on the member and a write to raft, within the dial's
/// time, of which etcdctl by itself gives 2 s.
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
  timeout -k 2 "$secs" "$etcdctl" --endpoints "$url" --dial-timeout 8s --command-timeout "${secs}s" "$@"
}
client
"#
    };
}
pub(crate) use client;
