#!/bin/sh
# The floor: what a hand-written script needs for the same upgrade on the same hosts. One ssh master a host, one
# remote script a member; release staged everywhere first, snapshot from the leader, followers first, leader last.
#
#   floor.sh SSH_CONFIG RELEASE_DIR VERSION HOST...
#
# RELEASE_DIR holds etcd, etcdctl and etcdutl of VERSION. Prints `upgrade_ms N` (until the last member is settled)
# and `cluster_version_ms N` (waiting for etcd's own tick afterwards).
set -eu

config=$1 release=$2 version=$3
shift 3
dir=$(mktemp -d)
now() { date +%s%3N; }
on() { host=$1; shift; ssh -F "$config" -o ControlPath="$dir/%C" -o BatchMode=yes "$host" "$@"; }
finish() {
    for host in $hosts; do ssh -F "$config" -o ControlPath="$dir/%C" -O exit "$host" 2>/dev/null || :; done
    rm -rf "$dir"
}
hosts=$*
trap finish EXIT INT TERM
begin=$(now)

for host in $hosts; do
    ssh -F "$config" -o ControlPath="$dir/%C" -o ControlMaster=yes -o ControlPersist=60 -o BatchMode=yes -fN "$host" &
done
wait

(cd "$release" && sha256sum etcd etcdctl etcdutl) >"$dir/sums"
sums=$(cat "$dir/sums")
for host in $hosts; do
    tar -C "$release" -cf - etcd etcdctl etcdutl | on "$host" "sudo sh -c '
        set -e
        umask 022
        mkdir -p /opt/etcd/$version
        tar -xf - -C /opt/etcd/$version
        cd /opt/etcd/$version
        echo \"$sums\" | sha256sum -c --quiet'" &
done
wait

# Who leads: `host member_id leader_id client_urls`, one line a host.
for host in $hosts; do
    on "$host" 'ETCDCTL_API=3 /usr/local/bin/etcdctl endpoint status -w json' >"$dir/$host.status" &
done
wait
field() { sed -n "s/.*\"$2\":\\([0-9]*\\).*/\\1/p" "$dir/$1.status"; }
leader=
for host in $hosts; do
    if [ "$(field "$host" member_id)" = "$(field "$host" leader)" ]; then leader=$host; fi
done
[ -n "$leader" ] || { echo "no leader" >&2; exit 1; }

# shellcheck disable=SC2016 # expanded on the host
on "$leader" sudo sh -s -- "$version" <<'SNAPSHOT'
set -e
umask 077
mkdir -p /var/backups/etcd
file=/var/backups/etcd/floor-$1.db
rm -f "$file"
ETCDCTL_API=3 /usr/local/bin/etcdctl snapshot save "$file" >/dev/null 2>&1
size=$(stat -c %s "$file")
[ "$(head -c $((size - 32)) "$file" | sha256sum | cut -d' ' -f1)" = "$(tail -c 32 "$file" | od -An -tx1 | tr -d ' \n')" ]
ETCDCTL_API=3 /usr/local/bin/etcdctl snapshot status "$file" -w json >/dev/null
SNAPSHOT

member() {
    on "$1" sudo sh -s -- "$version" "$2" <<'MEMBER'
set -e
version=$1 hand_over=$2
export ETCDCTL_API=3
ctl=/usr/local/bin/etcdctl
all=$($ctl member list -w json | grep -o '"clientURLs":\["[^"]*"' | cut -d'"' -f4 | paste -sd,)
$ctl --endpoints "$all" endpoint health >/dev/null 2>&1
if [ "$hand_over" = yes ]; then
    status=$($ctl endpoint status -w json)
    me=$(echo "$status" | sed -n 's/.*"member_id":\([0-9]*\).*/\1/p')
    to=$($ctl member list | cut -d, -f1 | grep -v "$(printf '%x' "$me")" | head -n 1)
    $ctl move-leader "$to" >/dev/null
fi
systemctl stop etcd
mkdir -p /opt/etcd/previous
for name in etcdctl etcdutl etcd; do
    [ ! -e /usr/local/bin/$name ] || [ -e /opt/etcd/previous/$name ] || cp -L /usr/local/bin/$name /opt/etcd/previous/$name
    ln -sfn /opt/etcd/"$version"/$name /usr/local/bin/.$name.new
    mv -T /usr/local/bin/.$name.new /usr/local/bin/$name
done
systemctl --no-block start etcd
tries=0
until $ctl --command-timeout 2s endpoint status -w json 2>/dev/null | grep -q "\"version\":\"$version\"" &&
    $ctl --endpoints "$all" endpoint health >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || exit 1
    sleep 0.1
done
MEMBER
}
for host in $hosts; do
    [ "$host" = "$leader" ] || member "$host" no
done
member "$leader" yes
settled=$(now)
echo "upgrade_ms $((settled - begin))"

# shellcheck disable=SC2016 # expanded on the host
on "$leader" sh -s -- "${version%.*}" <<'CLUSTER'
until curl -s http://127.0.0.1:2379/version | grep -q "\"etcdcluster\":\"$1\."; do sleep 0.1; done
CLUSTER
echo "cluster_version_ms $(($(now) - settled))"
