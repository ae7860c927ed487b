#!/bin/sh
# Times `runner upgrade` of a fleet with one cluster at a time and with several, on fresh labs of the same kind, and
# prints the ratio and the most memory that runner and the ssh processes that it starts held. Needs root, python3 and a release build.
#
#   benches/fleet.sh [CLUSTERS [MEMBERS [AT_ONCE [FROM [TO]]]]]
set -eu

clusters=${1:-12} members=${2:-3} at_once=${3:-4} from=${4:-3.4.23} to=${5:-3.5.16}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=benches/lib.sh
. "$here/lib.sh"

cluster=0
while [ $cluster -lt "$clusters" ]; do
    cluster=$((cluster + 1))
    printf '[clusters.c%03d.hosts."c%03d-etcd-[1:%d]"]\naddress = "10.%d.0.1[1:%d]"\n' \
        $cluster $cluster "$members" $cluster "$members"
done >"$work/shape.toml"

measure() {
    lab "$from" -i "$work/shape.toml"
    begin=$(now)
    # A process of its own, whose memory is looked at. `namespace` and the others are of the lab.
    # shellcheck disable=SC2154
    BENCH_MARK=$work nsenter --net="$namespace" "$runner" upgrade --ssh-config "$config" --yes -q -i "$inventory" \
        -e "releases.source=$releases" --to "$to" --max-clusters "$1" \
        --acknowledge SINGLE_MEMBER --state-dir "$work/state" >"$work/out" 2>"$work/err" &
    run=$!
    python3 "$here/memory.py" $run "BENCH_MARK=$work" >"$work/memory"
    wait $run || { cat "$work/out" "$work/err" >&2; exit 1; }
    took=$(($(now) - begin))
    gone
    read -r own ssh number <"$work/memory"
    printf '%d clusters of %d, %d at once: %d ms; runner held %d MiB, its up to %d children %d MiB\n' \
        "$clusters" "$members" "$1" $took "$own" "$number" "$ssh"
}

measure 1
alone=$took
measure "$at_once"
echo "ratio $(python3 -c "print('%.2f' % ($took / $alone))")"
