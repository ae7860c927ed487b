# Prints what a unit wrote to the journal, newest first, bounded in lines and bytes.
#
# Arguments: unit, the host's time to begin at (empty: `ago` seconds before now), ago, lines, bytes.
# Frames: `now` the host's time up to which it was read, `log` the entries; `hint` what journalctl says where there are none.
unit=$1 since=$2 ago=$3 lines=$4 bytes=$5
now=$(date +%s.%N)
case $now in *[!0-9.]* | *. | '') now=$(date +%s) ;; esac
[ -n "$since" ] || since=$((${now%.*} - ago))
emit now 0 "$now"
if ! has journalctl; then
  emit hint 127 "there is no journalctl"
  exit 0
fi
journal() { limit 5 journalctl -u "$unit" --since "@$since" --until "@$now" --no-pager -r -n "$lines" -o json "$@" </dev/null; }
text=$(journal -q --output-fields MESSAGE,PRIORITY,PACKAGE,SYSLOG_IDENTIFIER 2>/dev/null | head -c "$bytes")
# Before 236 it does not know that option, and says only to those who ask aloud that they may not read.
[ -n "$text" ] || text=$(journal -q 2>/dev/null | head -c "$bytes")
emit log 0 "$text"
[ -n "$text" ] || emit hint 0 "$(journal 2>&1 >/dev/null | tail -c 500)"
