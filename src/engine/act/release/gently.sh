# gently FILE: stdin becomes the file, a MiB at a time, each on the disk before the next. What etcd writes to the same disk
# meanwhile waits for one of them; behind a whole binary it would wait for all of it. A dd that cannot do that is not asked to.
gently() {
  if dd if=/dev/null of=/dev/null bs=1M iflag=fullblock oflag=dsync status=none 2>/dev/null; then
    dd of="$1" bs=1M iflag=fullblock oflag=dsync status=none
  else
    cat > "$1"
  fi
}
