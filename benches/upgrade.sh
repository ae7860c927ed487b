#!/bin/sh
# Times `runner upgrade` against the floor script on fresh labs of the same kind, one after the other in turns, under a
# client that writes every 5 ms. Prints the medians and the ratio within each pair, of the times and of the longest gaps
# that the client saw. Needs root, python3 and a release build.
#
#   benches/upgrade.sh [PAIRS [MEMBERS [FROM [TO [DELAY]]]]]
#
# With a DELAY all that goes over a connection is that many milliseconds late, each way: 50 make a round trip of 100 ms.
# Both numbers end when the last member is settled; etcd's own cluster-version tick, which nobody can hurry, is left out.
set -eu

pairs=${1:-5} members=${2:-3} from=${3:-3.4.23} to=${4:-3.5.16} delay=${5:-0}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=benches/lib.sh
. "$here/lib.sh"

# The lab, behind the delay.
far_lab() {
    lab "$from" --members "$members"
    # shellcheck disable=SC2154 # `config` is of the lab
    [ "$delay" = 0 ] || echo "  ProxyCommand $here/delay.py $delay %h %p" >>"$config"
}

# under_client FILE COMMAND...: runs a command that prints to FILE while a client writes; sets gap.
under_client() {
    said=$1
    shift
    # A command of its own and no function, so that the signal reaches it.
    # shellcheck disable=SC2046,SC2086,SC2154 # one word a host; `hosts` and `namespace` are of the lab
    nsenter --net="$namespace" "$here/writer.py" $(printf 'http://%s:2379 ' $hosts) >"$work/writer" &
    writer=$!
    "$@" >"$said"
    kill $writer
    wait $writer
    gap=$(sed -n '1s/.* //p' "$work/writer")
}

: >"$work/pairs"
: >"$work/gaps"
pair=0
while [ $pair -lt "$pairs" ]; do
    pair=$((pair + 1))
    far_lab
    # shellcheck disable=SC2046,SC2086,SC2154 # one word a host; `releases` is of the lab
    under_client "$work/floor" inside "$here/floor.sh" "$config" "$releases/$to" "$to" $(printf 'ops@%s ' $hosts)
    gone
    floor=$(sed -n 's/^upgrade_ms //p' "$work/floor") floor_gap=$gap
    far_lab
    under_client "$work/took" upgrade_by_runner "$to"
    gone
    ran=$(cat "$work/took")
    echo "$ran $floor" >>"$work/pairs"
    echo "$gap $floor_gap" >>"$work/gaps"
    echo "runner $ran ms, gap $gap ms; floor $floor ms, gap $floor_gap ms"
done
medians "$work/pairs" runner floor
echo 'longest gaps:'
medians "$work/gaps" runner floor
