# Sets `file`, the lock of a data folder. Arguments: `dir data_dir`.
LC_ALL=C
export LC_ALL
dir=$1
real=$(readlink -f -- "$2" || printf '%s' "$2")
file=$dir/$(systemd-escape -p -- "$real").lock
