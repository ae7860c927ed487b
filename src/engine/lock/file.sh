# Sets `file`, the lock of a data folder; `rescue`, the unit that brings its member up again; and `kept`, what that unit
# has to know.
LC_ALL=C
export LC_ALL
paths() {
  dir=$1
  real=$(readlink -f -- "$2" || printf '%s' "$2")
  key=$(systemd-escape -p -- "$real")
  file=$dir/$key.lock kept=$dir/$key.kept rescue=runner-rescue-$key.service
}
