# Shared by the benches: labs of a kind, an upgrade by runner, other people's tools, medians. Source it with $here set to
# this folder. Nothing that is timed may take longer than BENCH_LIMIT seconds (300).
# shellcheck shell=sh

runner=${RUNNER:-$here/../target/release/runner}
work=$(mktemp -d)
trap '"$runner" rehearse --destroy >/dev/null 2>&1 || :; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

now() { date +%s%3N; }
gone() { "$runner" rehearse --destroy >/dev/null 2>&1; }

# lab RELEASE ARGUMENT...: boots a lab whose clusters run RELEASE. Sets inventory, folder, hosts (addresses), releases (a
# folder with newer releases, too), and config: an ssh configuration for whoever is inside the lab's network.
lab() {
    lab_release=$1
    shift
    # From a release to the same: brings the clusters up and leaves them as they are.
    "$runner" rehearse --keep "$@" --from "$lab_release" --to "$lab_release" >"$work/lab" 2>"$work/lab.err" ||
        { cat "$work/lab.err" >&2; exit 1; }
    inventory=$(sed -n 's/.*runner status -i //p' "$work/lab")
    folder=$(dirname "$inventory")
    releases=${RUNNER_RELEASES:-$folder/releases}
    namespace=$(sed -n 's/.*nsenter --net=\([^ ]*\) .*/\1/p' "$folder/ssh_config")
    config=$work/ssh_config
    grep -v ProxyCommand "$folder/ssh_config" >"$config"
    # shellcheck disable=SC2034 # for whoever sources this
    hosts=$(sed -n 's/^address = "\(.*\)"/\1/p' "$inventory")
}

# inside COMMAND...: runs it in the lab's network, where hosts are reached without a proxy: not every tool gets on with one.
inside() { timeout -k 5 "${BENCH_LIMIT:-300}" nsenter --net="$namespace" "$@"; }

# timed COMMAND...: sets took, in milliseconds; what it says goes to $work/said. Ends the bench if it fails.
timed() {
    begin=$(now)
    status=0
    "$@" >"$work/said" 2>&1 || status=$?
    # shellcheck disable=SC2034 # for whoever sources this
    took=$(($(now) - begin))
    [ $status = 0 ] || {
        tail -n 30 "$work/said" >&2
        echo "$* ended with status $status (124: more than ${BENCH_LIMIT:-300} s)" >&2
        exit 1
    }
}

# tools: sets venv, a folder that has pyinfra, Ansible and mitogen. PEERS_VENV names one to use again, or to make.
tools() {
    venv=${PEERS_VENV:-$work/venv}
    [ -x "$venv/bin/pyinfra" ] && [ -x "$venv/bin/ansible-playbook" ] && return
    python3 -m venv "$venv" && "$venv/bin/pip" install -q -r "$here/peers/requirements.txt" ||
        { echo "pyinfra, Ansible and mitogen cannot be installed from PyPI" >&2; exit 1; }
}

# ansible_hosts GROUP NAME=VALUE...: writes $work/hosts.ini, the lab's hosts with these variables.
ansible_hosts() {
    {
        printf '[%s]\n' "$1"
        printf '%s\n' "$hosts"
        printf '[%s:vars]\nansible_user=ops\nansible_python_interpreter=/usr/bin/python3\n' "$1"
        printf 'ansible_ssh_common_args=-F %s\n' "$config"
        shift
        [ $# = 0 ] || printf '%s\n' "$@"
    } >"$work/hosts.ini"
}

# ansible COMMAND...: one of Ansible's commands on these hosts, its connections new.
ansible() {
    command=$1
    shift
    (cd "$here/peers" && ANSIBLE_SSH_CONTROL_PATH_DIR=$(mktemp -d "$work/cpXXX") \
        inside "$venv/bin/$command" -i "$work/hosts.ini" "$@")
}

# upgrade_by_runner VERSION: upgrades the lab, and prints the milliseconds until the last member is settled; etcd's own
# tick, which no tool can hurry, is left out.
upgrade_by_runner() {
    begin=$(now)
    inside "$runner" upgrade --ssh-config "$config" --yes -i "$inventory" -e "releases.source=$releases" --to "$1" --output json \
        --acknowledge SINGLE_MEMBER --state-dir "$work/state" >"$work/runner" 2>"$work/runner.err" ||
        { cat "$work/runner.err" >&2; exit 1; }
    python3 - "$work/runner" $(($(now) - begin)) <<'PY'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
lanes = (l for h in events[0]["plan"]["hops"] for w in h["waves"] for l in w["lanes"])
steps = {s["id"]: s["action"]["do"] for l in lanes for s in l["steps"]}
tick = sum(e["took_ms"] for e in events if e["kind"] == "step_ended" and steps[e["step"]] == "await_cluster_version")
print(int(sys.argv[2]) - tick)
PY
}

# medians FILE NAME...: FILE has one line a round, a number for each name. Prints the medians, and for all but the first
# the median and the spread of first / other within each round.
medians() {
    python3 - "$@" <<'PY'
import statistics, sys
names = sys.argv[2:]
rows = [[float(word) for word in line.split()] for line in open(sys.argv[1])]
for at, name in enumerate(names):
    column = [row[at] for row in rows]
    text = "%-16s median %7.0f ms (%.0f to %.0f)" % (name, statistics.median(column), min(column), max(column))
    if at:
        ratios = [row[0] / row[at] for row in rows]
        text += "   %s / %s median %.2f (%.2f to %.2f)" % (
            names[0], name, statistics.median(ratios), min(ratios), max(ratios))
    print(text)
print("%d rounds" % len(rows))
PY
}
