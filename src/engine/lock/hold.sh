umask 077
run=$3 words=$4 silence=$5
die() { printf '%s\n' "$1" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
has flock || die "\`flock\` is not installed"
taken() { echo taken; head -c 4096 -- "$file" 2>/dev/null || :; exit 0; }
opened() { mkdir -p -- "$dir" && command exec 9>>"$file"; }
mine() { [ "$(head -n 1 -- "$file")" = "$run" ] && flock -w 60 9; }
current() { [ /proc/self/fd/9 -ef "$file" ]; }
tries=0
until { opened && { flock -n 9 || mine || taken; } && current; } 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 50 ] || die "\`$file\` cannot be made"
done
trap 'rm -f -- "$file"; rmdir -- "$dir" 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM
read -r self rest </proc/self/stat
printf '%s\n%s\n%s\n' "$run" "$words" "$self" >"$file"
echo held
if has timeout; then
  while timeout "$silence" sh -c 'IFS= read -r beat' 9>&-; do :; done
else
  while IFS= read -r beat; do :; done
fi
