# run COMMAND: a text for the shell. run PROGRAM ARGUMENT...: these words as they are. stdin ends when nobody waits for
# the command any more: then it is ended with all of its children.
run() {
  exec 3<&0 </dev/null
  [ $# -gt 1 ] || set -- /bin/sh -c "$1"
  "$@" 3<&- &
  command=$!
  # `-s`: dash 0.5.12 does not take `kill -TERM -- -GROUP`.
  # The leader of our process group is the `timeout` above us, where the host has one.
  read -r _ _ _ _ group _ <"/proc/$$/stat"
  whole=$command
  [ "$group" != "$PPID" ] || whole=-$group
  (read -r _ <&3; trap '' TERM; kill -s TERM -- "$whole"; sleep 2; kill -s KILL -- "$whole") >/dev/null 2>&1 &
  watch=$!
  exec 3<&-
  wait "$command"
  status=$?
  exec 2>/dev/null
  kill "$watch"
  exit "$status"
}
run "$@"
