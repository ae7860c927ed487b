#!/bin/sh
# Times the facts of many hosts by `runner check`, against bare ssh with the same script on each host and against
# `ansible -m setup`, all with so many hosts at a time, in turns on one lab. Prints runner's own memory too, and that of
# the ssh processes that it starts apart. Needs root, python3 with venv and a release build; Ansible comes from PyPI.
#
#   benches/facts.sh [ROUNDS [HOSTS [FORKS [RELEASE]]]]
set -eu

rounds=${1:-5} count=${2:-60} forks=${3:-20} release=${4:-3.5.16}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

tools

# One member a cluster: idle members then cost next to nothing.
number=0
while [ $number -lt "$count" ]; do
    number=$((number + 1))
    printf '[clusters.c%03d.hosts.c%03d]\naddress = "10.0.0.%d"\n' $number $number $number
done >"$work/shape.toml"
lab "$release" -i "$work/shape.toml"
printf '%s\n' "$hosts" >"$work/hosts"
ansible_hosts all

# What runner sends to each host, as one script.
(cd "$here/../src/facts" && cat lib.sh page.sh observe.sh gather.sh && echo 'gather "$@"') >"$work/gather"

by_ssh() {
    inside xargs -P "$forks" -I HOST sh -c "ssh -F '$config' -o BatchMode=yes ops@HOST sudo sh -s -- /usr/local/bin /opt/etcd \
        http://127.0.0.1:2379 \"''\" \"''\" \"''\" /var/lib/etcd /var/backups/etcd etcd.service $release \
        /etc/systemd/system/etcd.service.d/90-runner-snapshot.conf <'$work/gather' >'$work/HOST.said'" <"$work/hosts"
}
by_ansible() { ansible ansible -f "$forks" -b -m setup all; }
by_runner() {
    inside "$runner" check --ssh-config "$config" -i "$inventory" -e "releases.source=$releases" --to "$release" -f "$forks" \
        --state-dir "$work/state"
}

: >"$work/rounds"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    timed by_ssh
    ssh=$took
    # shellcheck disable=SC2046 # one word a host
    [ "$(grep -l '^@sha256 0 ' $(sed "s|.*|$work/&.said|" "$work/hosts") | wc -l)" = "$count" ] ||
        { echo "a host gave no facts to ssh" >&2; exit 1; }
    timed by_runner
    own=$took
    timed by_ansible
    ansible=$took
    echo "runner, ssh, ansible -m setup: $own $ssh $ansible ms"
    echo "$own $ssh $ansible" >>"$work/rounds"
done
BENCH_MARK=$work nsenter --net="$namespace" "$runner" check --ssh-config "$config" -i "$inventory" \
    -e "releases.source=$releases" --to "$release" -f "$forks" --state-dir "$work/state" >"$work/out" 2>"$work/err" &
python3 "$here/memory.py" $! "BENCH_MARK=$work" | {
    read -r own others number
    echo "runner held $own MiB, its up to $number children $others MiB"
}
wait
medians "$work/rounds" runner ssh ansible-setup
