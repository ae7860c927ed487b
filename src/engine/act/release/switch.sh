set -eu
export LC_ALL=C
install=$1 dir=$1/$2 bin=$3
shift 3
die() { printf '%s\n' "$1" >&2; exit 1; }
kept() {
  for copy in "$install"/*/"$1"; do
    if [ -f "$copy" ] && cmp -s "$bin/$1" "$copy"; then return 0; fi
  done
  return 1
}
links=1
for name in "$@"; do
  if [ "$name" = -- ]; then links=; continue; fi
  if [ -n "$links" ]; then
    [ -x "$dir/$name" ] || die "\`$dir/$name\` is not staged"
    if [ -L "$bin/$name" ] || [ ! -e "$bin/$name" ]; then continue; fi
    kept "$name" || die "\`$bin/$name\` is kept nowhere under \`$install\`, so there would be no way back"
  elif [ -e "$bin/$name" ] && [ ! -L "$bin/$name" ]; then
    die "\`$bin/$name\` is not a link, so it is not ours to remove"
  fi
done
links=1
for name in "$@"; do
  if [ "$name" = -- ]; then links=; continue; fi
  if [ -z "$links" ]; then
    [ -L "$bin/$name" ] || continue
    rm -f "$bin/$name"
    printf 'removed %s\n' "$name"
    continue
  fi
  [ "$(readlink "$bin/$name" || :)" != "$dir/$name" ] || continue
  rm -f "$bin/.$name.runner"
  ln -s "$dir/$name" "$bin/.$name.runner"
  mv -fT "$bin/.$name.runner" "$bin/$name"
  [ "$(readlink "$bin/$name")" = "$dir/$name" ] || die "\`$bin/$name\` does not lead to \`$dir/$name\`"
  printf 'switched %s\n' "$name"
done
sync "$bin" 2>/dev/null || sync
