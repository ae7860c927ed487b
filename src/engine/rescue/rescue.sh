paths "$1" "$2"
run=$3 unit=$4 patience=$5 returns=$6
shift 6
umask 077
claimed='' words='{}'
clean() {
  rm -rf -- "$kept"
  [ -z "$claimed" ] || rm -f -- "$file"
  rmdir -- "$dir" 2>/dev/null
}
trap clean EXIT
trap 'exit 0' HUP INT TERM

# Whether the run is there: the holder of the lock has it open.
alive() {
  { IFS= read -r by && IFS= read -r said && IFS= read -r pid; } 2>/dev/null <"$file" || return 1
  [ "$by" = "$run" ] || return 1
  words=$said
  for open in "/proc/$pid/fd/"*; do
    if [ "$open" -ef "$file" ]; then return 0; fi
  done
  return 1
}
# Whether another run waits, or this one again.
wanted() { [ -e "$kept/wanted" ]; }

# Takes the lock, so that neither this run nor another can come between.
claim() {
  { mkdir -p -- "$dir" && command exec 9>>"$file" && flock -n 9 && [ /proc/self/fd/9 -ef "$file" ]; } 2>/dev/null ||
    return 1
  claimed=yes
  read -r self rest </proc/self/stat
  printf '%s\n%s\n%s\n' "$run rescue" "$words" "$self" >"$file"
}

silent=0
until wanted; do
  if alive; then silent=0; else silent=$((silent + 1)); fi
  if [ "$silent" -gt 15 ] && claim; then break; fi
  sleep 1
done

up() {
  [ "$(prop "$unit" NeedDaemonReload)" != yes ] || systemctl daemon-reload
  systemctl reset-failed -- "$unit" 2>/dev/null
  systemctl --no-block start -- "$unit"
}
# Up is: active, and for as long as a release that is no good may need to die; somebody who waits looks after that.
comes_up() {
  restarts=$(prop "$unit" NRestarts) left=$patience steady=0 pid=''
  while [ "$left" -gt 0 ]; do
    sleep 1
    now=$(show "$unit")
    case $now in *ActiveState=failed* | *SubState=auto-restart*) return 1 ;; esac
    case $now in *ActiveState=inactive*) case $now in *Job=[1-9]*) ;; *) return 1 ;; esac ;; esac
    more=$(printf '%s\n' "$now" | sed -n 's/^NRestarts=//p')
    [ "${more:-0}" -le "${restarts:-0}" ] || return 1
    case $now in
      *ActiveState=active*) steady=$((steady + 1)) ;;
      *) steady=0 left=$((left - 1)) pid='' && continue ;;
    esac
    was=$pid pid=$(printf '%s\n' "$now" | sed -n 's/^MainPID=//p')
    [ -z "$was" ] || [ "$was" = "$pid" ] || return 1
    [ "$steady" -lt 30 ] || return 0
    if [ "$steady" -ge 3 ] && wanted; then return 0; fi
  done
  return 1
}
back() {
  count=$1 at=0
  shift
  systemctl stop -- "$unit"
  [ "$(prop "$unit" MainPID)" = 0 ] || return 1
  while [ "$at" -lt "$count" ]; do
    at=$((at + 1))
    if [ -e "$kept/$at" ]; then
      cp -pP -- "$kept/$at" "${1%/*}/.${1##*/}.runner" && mv -fT -- "${1%/*}/.${1##*/}.runner" "$1"
    else
      rm -f -- "$1"
    fi
    shift
  done
  switch=$1
  shift
  sh -c "$switch" sh "$@"
  systemctl daemon-reload
}

# Whether somebody has started the unit since it was stopped: then every step before the start was done.
started() { [ "$(prop "$unit" InactiveExitTimestampMonotonic)" != "$(cat -- "$kept/began")" ]; }
has_back() { [ "$#" -gt "$(($1 + 1))" ]; }

if has_back "$@" && ! started; then
  echo "run $run is gone, so what was there is put back and $unit started"
  back "$@"
  up
  comes_up
  exit 0
fi
echo "run $run is gone, so $unit is started"
up
if ! comes_up && has_back "$@" && [ "$returns" = yes ]; then
  echo "$unit does not come up, so what was there is put back"
  back "$@" && up
  comes_up
fi
exit 0
