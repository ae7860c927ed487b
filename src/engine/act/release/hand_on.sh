set -eu
export LC_ALL=C
dir=$1/$2 address=$3
command -v systemd-socket-activate >/dev/null || {
  printf '%s\n' 'there is no systemd-socket-activate' >&2
  exit 1
}
# It listens on addresses alone.
case $address in
*:*) address=[$address] ;;
*[!0-9.]*) address=$(getent ahostsv4 "$address" | sed -n '1s/ .*//p') ;;
esac
port=$((20000 + 0x$(od -An -N2 -tx2 /dev/urandom | tr -d ' ') % 10000))
# Whoever connects names a binary and gets it; what is not in the folder of the release cannot be named.
systemd-socket-activate --accept --inetd -l "$address:$port" sh -c '
  IFS= read -r name && case $name in "" | .* | */*) ;; *) exec cat -- "$1/$name" ;; esac
' sh "$dir" >/dev/null 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || :' EXIT
trap 'exit 143' TERM HUP INT
printf '%s\n' "$port"
cat >/dev/null
