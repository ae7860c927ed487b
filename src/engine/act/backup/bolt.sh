# bolt_revision FILE: the newest revision in a database of etcd, read off its pages, for where no tool of the release
# tells it. Two meta pages name the page of the buckets; the last key of the bucket `key` is the newest revision.
bolt_number() { od -An -v -t "u$1" -j "$2" -N "$1" -- "$db" 2>/dev/null | tr -d ' \n'; }
bolt_revision() {
  db=$1
  [ "$(bolt_number 4 16)" = 3977042669 ] || return 1
  size=$(bolt_number 4 24) meta=0
  [ "$(bolt_number 8 64)" -ge "$(bolt_number 8 $((size + 64)))" ] || meta=$size
  page=$(($(bolt_number 8 $((meta + 32))) * size))
  left=$(bolt_number 2 $((page + 10))) element=$((page + 16)) page=
  while [ "$left" -gt 0 ] && [ -z "$page" ]; do
    at=$((element + $(bolt_number 4 $((element + 4)))))
    # `key`; behind it stands the page of its root, or 0 and the page itself.
    if [ "$(bolt_number 4 $((element + 8)))" = 3 ] && [ "$(tail -c "+$((at + 1))" -- "$db" | head -c 3)" = key ]; then
      page=$(($(bolt_number 8 $((at + 3))) * size))
      [ "$page" != 0 ] || page=$((at + 19))
    fi
    element=$((element + 16)) left=$((left - 1))
  done
  [ -n "$page" ] || return 1
  while :; do
    count=$(bolt_number 2 $((page + 10)))
    [ "$count" -gt 0 ] || { echo 0 && return; }
    element=$((page + 16 * count))
    [ "$(bolt_number 2 $((page + 8)))" = 1 ] || break
    page=$(($(bolt_number 8 $((element + 8))) * size))
  done
  at=$((element + $(bolt_number 4 $((element + 4)))))
  echo $((0x$(od -An -v -t x1 -j "$at" -N 8 -- "$db" | tr -d ' \n')))
}
