#!/bin/sh
# Times `runner upgrade` against the same upgrade by tools that people use today, on fresh labs of the same kind, one after
# the other in turns: a pyinfra deploy, an Ansible playbook with mitogen, and the same playbook without it. All stage and
# verify the release, take and verify a snapshot on the leader, then take the members one at a time, the leader last:
# hand over, stop, keep the old binaries, switch, start, wait until the member runs the release and all are healthy.
# Needs root, python3 with venv, and a release build; the tools come from PyPI.
#
#   benches/peers.sh [ROUNDS [FROM [TO]]]
set -eu

rounds=${1:-3} from=${2:-3.4.23} to=${3:-3.5.16}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

tools
mitogen=$("$venv/bin/python" -c 'import ansible_mitogen, os; print(os.path.dirname(ansible_mitogen.__file__))')

# What both kinds of inventory say, and the release as one file. Not timed.
prepare() {
    lab "$from" --members 3
    tar -C "$releases/$to" -cf "$work/release.tar" etcd etcdctl etcdutl
    (cd "$releases/$to" && sha256sum etcd etcdctl etcdutl) >"$work/sums"
    ansible_hosts etcd "release=$to" "work=$work"
    {
        printf 'etcd = ['
        # shellcheck disable=SC2086 # one word a host
        printf '"%s", ' $hosts
        printf ']\n'
    } >"$work/inventory.py"
}

# Whoever was fast must have done it.
check() {
    # shellcheck disable=SC2086 # one word a host
    for host in $hosts; do
        seen=$(inside ssh -F "$config" "ops@$host" curl -s http://127.0.0.1:2379/version)
        case $seen in *"\"etcdserver\":\"$to\""*) ;; *) echo "$host: $seen" >&2; exit 1 ;; esac
    done
    gone
}

by_pyinfra() {
    (cd "$here/peers" && PEER_CONFIG=$config PEER_KEY=$folder/key PEER_KNOWN=$folder/known_hosts \
        PEER_WORK=$work PEER_RELEASE=$to inside "$venv/bin/pyinfra" -y "$work/inventory.py" pyinfra_deploy.py)
}
by_ansible() { ansible ansible-playbook ansible_playbook.yml; }
by_mitogen() {
    ANSIBLE_STRATEGY_PLUGINS=$mitogen/plugins/strategy ANSIBLE_STRATEGY=mitogen_linear by_ansible
}

: >"$work/rounds"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    prepare
    line=$(upgrade_by_runner "$to")
    check
    for peer in pyinfra mitogen ansible; do
        prepare
        timed "by_$peer"
        check
        line="$line $took"
    done
    echo "runner, pyinfra, ansible+mitogen, ansible: $line ms"
    echo "$line" >>"$work/rounds"
done
medians "$work/rounds" runner pyinfra ansible+mitogen ansible
