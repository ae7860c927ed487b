#!/bin/sh
# Times `runner upgrade` against the floor script on fresh labs of the same kind, one after the other in turns, and
# prints the ratio of each pair and the medians. Needs root, python3 and a release build.
#
#   benches/upgrade.sh [PAIRS [MEMBERS [FROM [TO]]]]
#
# Both numbers end when the last member is settled; waiting for etcd's own cluster-version tick is shown apart.
set -eu

pairs=${1:-5} members=${2:-3} from=${3:-3.4.23} to=${4:-3.5.16}
here=$(dirname "$0")
runner=${RUNNER:-$here/../target/release/runner}
work=$(mktemp -d)
trap '"$runner" rehearse --destroy >/dev/null 2>&1 || :; rm -rf "$work"' EXIT INT TERM
: >"$work/pairs"

lab() {
    # From `from` to `from`: brings the cluster up and leaves it as it is.
    "$runner" rehearse --keep --members "$members" --from "$from" --to "$from" >"$work/lab" 2>"$work/lab.err" ||
        { cat "$work/lab.err" >&2; exit 1; }
    inventory=$(sed -n 's/.*runner status -i //p' "$work/lab")
    folder=$(dirname "$inventory")
}
gone() { "$runner" rehearse --destroy >/dev/null 2>&1; }
# A kept lab's folder of releases has newer ones than it runs, too.
releases() { echo "${RUNNER_RELEASES:-$folder/releases}"; }

pair=0
while [ $pair -lt "$pairs" ]; do
    pair=$((pair + 1))
    lab
    # shellcheck disable=SC2046 # one word a host
    "$here/floor.sh" "$folder/ssh_config" "$(releases)/$to" "$to" \
        $(sed -n 's/^address = "\(.*\)"/ops@\1/p' "$inventory") >"$work/floor"
    gone
    lab
    begin=$(date +%s%3N)
    "$runner" upgrade --yes -i "$inventory" -e "releases.source=$(releases)" --to "$to" --output json --acknowledge SINGLE_MEMBER \
        --state-dir "$work/state" >"$work/runner" 2>"$work/runner.err" || { cat "$work/runner.err" >&2; exit 1; }
    wall=$(($(date +%s%3N) - begin))
    gone
    python3 - "$work" "$wall" <<'PY'
import json, sys
work, wall = sys.argv[1], int(sys.argv[2])
floor = dict(line.split() for line in open(work + "/floor"))
events = [json.loads(line) for line in open(work + "/runner")]
steps = {s["id"]: s["action"]["do"] for h in events[0]["plan"]["hops"] for w in h["waves"] for l in w["lanes"] for s in l["steps"]}
tick = sum(e["took_ms"] for e in events if e["kind"] == "step_ended" and steps[e["step"]] == "await_cluster_version")
line = (int(floor["upgrade_ms"]), int(floor["cluster_version_ms"]), wall - tick, tick)
print("floor %5d ms (+ %d ms tick)   runner %5d ms (+ %d ms tick)   ratio %.2f" % (*line, line[2] / line[0]), flush=True)
open(work + "/pairs", "a").write("%d %d\n" % (line[0], line[2]))
PY
done
python3 - "$work/pairs" <<'PY'
import statistics, sys
rows = [tuple(map(int, line.split())) for line in open(sys.argv[1])]
ratios = [b / a for a, b in rows]
print("median floor %d ms, median runner %d ms, ratio median %.2f (%.2f to %.2f)" % (
    statistics.median(a for a, _ in rows), statistics.median(b for _, b in rows),
    statistics.median(ratios), min(ratios), max(ratios)))
PY
