# Defines `arm`, which arms the rescue or ends the script that wanted it. Arguments: the rescue's script, then its own.
# `unit` is set, and `began`, when systemd began to start it last.
keep() {
  shift 6
  rm -rf -- "$kept"
  (umask 077 && mkdir -p -- "$kept") || return 1
  count=$1 at=0
  shift
  while [ "$at" -lt "$count" ]; do
    at=$((at + 1))
    [ ! -e "$1" ] || cp -pP -- "$1" "$kept/$at" || return 1
    shift
  done
  printf '%s\n' "$began" >"$kept/began"
  printf '%s\n' "$run" >"$kept/run"
}
launch() {
  keep "$@" || return 1
  about="brings $unit up again if run $run is gone"
  # systemd puts variables into arguments and takes a doubled dollar for one.
  count=$#
  set -- "$script" "$@"
  while [ "$count" -ge 0 ]; do
    case $1 in
      *'$'*) set -- "$@" "$(printf '%s' "$1" | sed 's/\$/$$/g')" ;;
      *) set -- "$@" "$1" ;;
    esac
    shift
    count=$((count - 1))
  done
  ready=$1
  shift
  systemd-run --quiet --unit="$rescue" --description="$about" -- /bin/sh -c "$ready" sh "$@" >/dev/null
}
arm() {
  script=$1
  shift
  run=$3
  paths "$1" "$2"
  launch "$@" 2>/dev/null && return 0
  systemctl stop -- "$rescue" 2>/dev/null || :
  systemctl reset-failed -- "$rescue" 2>/dev/null || :
  launch "$@" || die "the rescue cannot be armed, so \`$unit\` is not stopped"
}
