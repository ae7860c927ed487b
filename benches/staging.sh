#!/bin/sh
# Times the staging of a release by `runner upgrade` on hosts behind a slow link each, against scp of the same binaries to
# all hosts at once over the same links, on fresh labs in turns. Needs root, tc, python3 and a release build.
#
#   benches/staging.sh [ROUNDS [HOSTS [RATE [FROM [TO]]]]]
#
# runner's time is from its start until the last host is staged: the connections, the look and the plan are in it.
set -eu

rounds=${1:-5} members=${2:-6} rate=${3:-20mbit} from=${4:-3.4.23} to=${5:-3.5.16}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

slow_links() {
    for link in $(inside ip -o link | sed -n 's/^[0-9]*: \(vb-[^@:]*\).*/\1/p'); do
        inside tc qdisc add dev "$link" root tbf rate "$rate" burst 64kb latency 200ms
    done
}

by_scp() {
    begin=$(now)
    pids=
    for host in $hosts; do
        (cd "$releases/$to" && inside scp -q -F "$config" etcd etcdctl etcdutl "ops@$host:/tmp/") &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid"; done
    scp=$(($(now) - begin))
}

by_runner() {
    begin=$(now)
    inside "$runner" upgrade --ssh-config "$config" --yes -i "$inventory" -e "releases.source=$releases" --to "$to" --output json \
        --state-dir "$work/state" >"$work/runner" 2>"$work/runner.err" || { cat "$work/runner.err" >&2; exit 1; }
    staging=$(python3 - "$work/runner" "$begin" <<'PY'
import datetime, json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
lanes = (l for h in events[0]["plan"]["hops"] for w in h["waves"] for l in w["lanes"])
stage = {s["id"] for l in lanes for s in l["steps"] if s["action"]["do"] == "stage_release"}
ends = [e["at"] for e in events if e["kind"] == "step_ended" and e["step"] in stage]
assert len(ends) == len(stage) > 0
last = max(datetime.datetime.fromisoformat(at.replace("Z", "+00:00")) for at in ends)
print(round(last.timestamp() * 1000) - int(sys.argv[2]))
PY
)
}

: >"$work/rounds"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    lab "$from" --members "$members"
    slow_links
    by_scp
    by_runner
    gone
    echo "runner, scp: $staging $scp ms"
    echo "$staging $scp" >>"$work/rounds"
done
medians "$work/rounds" runner scp
