paths "$1" "$2"
umask 077
run=$3 words=$4 silence=$5
die() { printf '%s\n' "$1" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
has flock || die "\`flock\` is not installed"
first() { { IFS= read -r line <"$1"; } 2>/dev/null && printf '%s\n' "$line"; }
taken() { echo taken; head -c 4096 -- "$file" 2>/dev/null || :; exit 0; }
opened() { mkdir -p -- "$dir" && command exec 9>>"$file"; }
mine() { [ "$(first "$file")" = "$run" ] && flock -w 60 9; }
# A rescue is asked to be quick, because somebody is there again. One that does not end is ended.
naps=0
nap() {
  naps=$((naps + 1))
  { : >"$kept/wanted"; } 2>/dev/null || :
  [ "$naps" -lt 150 ] || systemctl stop -- "$rescue" || :
  echo waiting
}
rescued() {
  case $(first "$file") in *' rescue') ;; *) return 1 ;; esac
  until flock -w 1 9; do nap; done
}
current() { [ /proc/self/fd/9 -ef "$file" ]; }
tries=0
until { opened && { flock -n 9 || mine || rescued || taken; } && current; } 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 50 ] || die "\`$file\` cannot be made"
done
trap 'rm -f -- "$file"; rmdir -- "$dir" 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM
read -r self rest </proc/self/stat
printf '%s\n%s\n%s\n' "$run" "$words" "$self" >"$file"
armed() { [ -e "$kept/run" ] && systemctl is-active -q -- "$rescue"; }
how=held
while armed; do
  [ "$(first "$kept/run")" != "$run" ] || { how='held armed'; break; }
  nap
  sleep 1
done
[ "$naps" -eq 0 ] || how='held late'
echo "$how"
if has timeout; then
  while timeout "$silence" sh -c 'IFS= read -r beat' 9>&-; do :; done
else
  while IFS= read -r beat; do :; done
fi
