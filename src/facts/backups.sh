# backups BIN_DIR INSTALL_DIR CLIENT_URL CACERT CERT KEY BACKUPS DATA_DIR: the descriptions of backups in a folder, the
# member's own word on its revision, and what earlier restores have left.
backups() {
  url=${3%/} cacert=$4 cert=$5 key=$6
  etcdctl=$(find_etcdctl "$1" "$2")
  [ -z "$etcdctl" ] || ask status ctl endpoint status -w json
  for path in "$7"/*.db "$7"/*.v2.tar.gz; do
    [ -f "$path" ] && [ ! -L "$path" ] || continue
    case ${path##*/} in *[!A-Za-z0-9._-]*) continue ;; esac
    emit "file/${path##*/}" 0 "$(stat -c %s -- "$path")"
    [ ! -f "$path.json" ] || emit "json/${path##*/}" 0 "$(head -c 65536 -- "$path.json")"
  done
  for path in "$8"/member.before-* "$8"/member.undone-*; do
    [ ! -e "$path" ] || printf '%s\n' "$path"
  done | { left=$(cat); emit left 0 "$left"; }
}

# verify PATH: size, SHA-256 of the file, and for a snapshot whether its trailer is that of its database.
verify() {
  [ -f "$1" ] || { emit bytes 1 ''; return; }
  bytes=$(stat -c %s -- "$1")
  emit bytes 0 "$bytes"
  frame sha256 sum_of "$1"
  case $1 in
  *.db)
    emit database 0 "$(head -c $((bytes > 32 ? bytes - 32 : 0)) -- "$1" | sha256sum | cut -d ' ' -f 1)"
    emit trailer 0 "$(tail -c 32 -- "$1" | od -An -v -tx1 | tr -d ' \n')"
    ;;
  esac
}

sum_of() { sha256sum <"$1" | cut -d ' ' -f 1; }
