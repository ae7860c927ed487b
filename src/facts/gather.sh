# gather BIN_DIR INSTALL_DIR CLIENT_URL CACERT CERT KEY DATA_DIR BACKUP_DIR UNIT VERSIONS [FILE...]: all facts of this
# host. Hashing and the member's answers take the most time, so they run beside each other.
gather() {
  url=${3%/} cacert=$4 cert=$5 key=$6
  describe "$@" | beside observe "$1" "$2" "$3" "$4" "$5" "$6" full
  # Last, because it is compared with the control machine's clock when the answer arrives.
  frame clock date '+%s %N'
}

describe() {
  bin_dir=$1 install_dir=$2 data_dir=$7 backup_dir=$8 unit=$9
  shift 9
  versions=$1
  shift
  frame user id -u
  frame host uname -n
  frame arch uname -m
  emit tools 0 "$(tools)"
  describe_unit
  emit data 0 "$(describe_data)"
  describe_v2
  describe_disks
  for file in "$@" "$(config_in_effect)"; do
    describe_file "$file"
  done
  describe_binaries
  describe_log
}

# The configuration file that the process, or else the unit, was told of.
config_in_effect() {
  {
    if [ "$pid" -gt 0 ]; then
      nul_lines "/proc/$pid/cmdline"
    else
      printf '%s\n' "$shown" | sed -n 's/^ExecStart=.* argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | tr ' ' '\n'
    fi
  } 2>/dev/null | sed -n '/^--\{0,1\}config-file$/{n;p;}
    s/^--\{0,1\}config-file=//p' | tail -n 1 | sed '/^\//!d'
}

tools() {
  for tool in bash curl flock gzip openssl python3 sha256sum stat sync systemctl systemd-analyze systemd-run tar \
    timeout wget xz; do
    has "$tool" && echo "$tool"
  done
}

describe_unit() {
  shown=$(ask unit limit 10 systemctl show --no-pager -p LoadState -p ActiveState -p SubState -p Type -p FragmentPath \
    -p DropInPaths -p ExecStart -p Environment -p EnvironmentFiles -p User -p MainPID -p NRestarts \
    -p TimeoutStartUSec -p TimeoutStopUSec -p UnitFileState -p NeedDaemonReload -- "$unit"; printf x)
  printf '%s' "${shown%x}"
  pid=$(printf '%s' "$shown" | sed -n 's/^MainPID=\([0-9]\{1,\}\)$/\1/p' | head -n 1)
  if [ "${pid:-0}" -gt 0 ] && [ -r "/proc/$pid/cmdline" ]; then
    frame process.argv nul_lines "/proc/$pid/cmdline"
    frame process.env etcd_variables "/proc/$pid/environ"
  else
    pid=0
  fi
  frame unit.env environment_files "$shown"
  # What was put into systemd itself, every unit gets.
  frame manager.env manager_variables
}

# Words that end in NUL as lines; a newline inside a word becomes the byte 1.
nul_lines() { tr '\000\n' '\n\001' <"$1"; }

# Only etcd's variables leave the host.
etcd_variables() { nul_lines "$1" | grep '^ETCD_'; }

manager_variables() { limit 10 systemctl show-environment | grep '^ETCD_'; }

# The variables of the unit's environment files, in their order, as systemd would read them at the next start.
environment_files() {
  printf '%s\n' "$1" | sed -n 's/^EnvironmentFiles=\(.*\) (ignore_errors=[a-z]*)$/\1/p' | while IFS= read -r file; do
    [ -f "$file" ] && head -c 65536 -- "$file" | grep '^[[:space:]]*ETCD_'
    true
  done
}

describe_data() {
  real=$(readlink -f -- "$data_dir")
  in_use=$(data_dir_in_use)
  [ -n "$in_use" ] && [ "$in_use" = "$real" ] && in_use=$data_dir
  echo "in_use=$in_use"
  [ -d "$data_dir" ] || return 0
  stat -c 'mode=%a' -- "$data_dir"
  stat -c 'owner=%U:%G' -- "$data_dir"
  [ -d "$data_dir/member/wal" ] && echo exists=1
  [ -f "$data_dir/member/snap/db" ] && stat -c 'db=%s' -- "$data_dir/member/snap/db"
  echo "wal=$(total "$data_dir"/member/wal/*)"
  for snap in "$data_dir"/member/snap/*.snap; do
    newest_snap=$snap
  done
  [ -f "$newest_snap" ] && stat -c "snap=${newest_snap##*/} %s" -- "$newest_snap"
  true
}

# Whether the v2 store has keys: a read of the member's own copy, which leaves no entry in the log. Where API 2 is not
# served, the newest raft snapshot has the store as JSON, the keys of clients below `/1`; and etcdutl 3.5.18 and later
# looks into the data folder. The root with all its values can be large.
describe_v2() {
  listing=$(page '/v2/keys/?recursive=false' 2>/dev/null </dev/null | head -c 400)
  emit v2.keys 0 "$listing"
  case $listing in
  '{'*)
    # Anybody may ask this. 2.0 has no users and says that there is no such page.
    emit v2.users 0 "$(page /v2/auth/enable 2>/dev/null </dev/null | head -c 400)"
    return 0
    ;;
  esac
  [ ! -r "$data_dir/member/snap" ] || emit v2.snap 0 "$(v2_in_snapshot)"
  [ -x "$bin_dir/etcdutl" ] && [ -d "$data_dir/member/snap" ] || return 0
  v2_check=$(limit 20 "$bin_dir/etcdutl" check v2store --data-dir "$data_dir" 2>&1 </dev/null)
  emit v2.check $? "$(printf '%s' "$v2_check" | tail -c 400)"
}

v2_in_snapshot() {
  for v2_snap in "$data_dir"/member/snap/*.snap; do :; done
  if [ -f "$v2_snap" ] && tr '{' '\n' <"$v2_snap" | grep -aq '^"Path":"/[1-9][0-9]*/[^_]'; then
    echo keys
  else
    echo none
  fi
}

# The folder of the database or, in 2.x, the log that the process holds open: whatever flags, variables and files say.
data_dir_in_use() {
  [ "$pid" -gt 0 ] || return 0
  ls -l "/proc/$pid/fd" 2>/dev/null | sed -n 's|.* -> \(/.*\)/member/snap/db$|\1|p
    s|.* -> \(/.*\)/member/wal/[0-9a-f-]*\.wal$|\1|p' | head -n 1
}

total() {
  sum=0
  for size in $(stat -c %s -- "$@" 2>/dev/null); do
    sum=$((sum + size))
  done
  echo "$sum"
}

# Space where the folders are, or would be: one frame each.
describe_disks() {
  disks=$(limit 10 df -Pk -- "$(there "$data_dir")" "$(there "$install_dir")" "$(there "$backup_dir")" \
    "$(there "$bin_dir")" 2>/dev/null </dev/null)
  disks_status=$?
  printf '%s\n' "$disks" | {
    IFS= read -r head
    for name in data_dir install_dir backup_dir bin_dir; do
      # One that df cannot tell has no line.
      [ $disks_status = 0 ] && IFS= read -r line || line=
      emit "disk.$name" $disks_status "$head$newline$line"
    done
  }
}

# The path, or the nearest folder above it that there is.
there() {
  there=$1
  while [ ! -e "$there" ]; do
    case $there in
    */*) there=${there%/*} ;;
    *) there=/ ;;
    esac
    [ -n "$there" ] || there=/
  done
  printf '%s' "$there"
}

# Frames file.meta (mode, owner, size, path) and file.text for a file that is there.
describe_file() {
  [ -f "$1" ] || return 0
  emit file.meta 0 "$(stat -c '%a %U:%G %s' -- "$1") $1"
  text=$(head -c 262145 -- "$1" 2>/dev/null; printf x)
  emit file.text 0 "${text%x}"
}

# Frames binary/NAME and staged/VERSION/NAME hold the file that the path leads to; each such file is hashed once.
describe_binaries() {
  targets=
  here=
  for name in etcd etcdctl etcdutl; do
    [ -f "$bin_dir/$name" ] || continue
    describe_binary "binary/$name" "$bin_dir/$name"
    said=$(tool_version "$bin_dir/$name" "$name")
    emit "version/$name" 0 "$said"
    [ "$name" = etcd ] && here=$(printf '%s\n' "$said" | sed -n 's/^etcd [Vv]ersion:\{0,1\} *//p' | head -n 1)
  done
  installed=$here
  case " $versions " in *" $here "*) here= ;; esac
  [ "$pid" -gt 0 ] || versions="$versions $(kept)"
  for version in $versions $here; do
    for name in etcd etcdctl etcdutl; do
      [ -f "$install_dir/$version/$name" ] &&
        describe_binary "staged/$version/$name" "$install_dir/$version/$name"
    done
  done
  frame sha256 digests
}

# The newest other releases of a member that is down: where a way back may be. Hashing takes long, so only a few.
kept() {
  for dir in "$install_dir"/*/; do
    dir=${dir%/}
    case " $versions $here " in *" ${dir##*/} "*) ;; *) printf '%s\n' "${dir##*/}" ;; esac
  done | grep -x '[0-9]\{1,\}\.[0-9]\{1,\}\.[0-9]\{1,\}' | sort -t . -k 1,1n -k 2,2n -k 3,3n | tail -n 4 | tr '\n' ' '
}

# The last requests of API 2 of each kind in the log from the newest raft snapshot on, as the bytes around them: releases
# from 3.5 on stop at some of them. Kinds: `line`, changes of the cluster's version; `client`, what clients and health
# probes left; `set` and `gone`, what clients wrote and deleted; `any`. Only releases that care are
# asked.
describe_log() {
  case $installed in 3.[456].*) ;; *) return 0 ;; esac
  log_dir=$(log_dir_in_use)
  newest=$(newest_index)
  segments=
  for segment in "${log_dir:-$data_dir/member/wal}"/*-*.wal; do
    first=${segment##*-}
    # Both are sixteen hexadecimal digits, which sort as text.
    if ! expr "x${first%.wal}" '>' "x$newest" >/dev/null; then segments=; fi
    segments=$segments$segment$newline
  done
  frame log.old old_requests
}

newest_index() {
  found_index=0000000000000000
  for found_snap in "$data_dir"/member/snap/*-*.snap; do
    found_snap=${found_snap##*-}
    case $found_snap in [0-9a-f]*.snap) found_index=${found_snap%.snap} ;; esac
  done
  echo "$found_index"
}

log_dir_in_use() {
  [ "$pid" -gt 0 ] || return 0
  ls -l "/proc/$pid/fd" 2>/dev/null | sed -n 's|.* -> \(/.*\)/[0-9a-f]*-[0-9a-f]*\.wal$|\1|p' | head -n 1
}

old_requests() {
  has awk || return 1
  method=$(printf '\022(\006DELETE|\004POST|\004QGET|\004SYNC)\032')
  put=$(printf '\022\003PUT\032')
  printf '%s' "$segments" | while IFS= read -r segment; do
    [ -f "$segment" ] || return 1
    # A segment has 64 MB, most of them zeros as a rule, so it is searched once: lines of offset and match. Lines end with
    # NUL for grep, as paths of ten bytes have a newline before them.
    found=$({
      limit 30 grep -zaobE -e "($method|$put)((.|..)/1)?|/0/version" -- "$segment" 2>/dev/null
      printf 'ended %d\0' $?
    } | tr '\000\n' '\n\001')
    case $found in *"ended 0") ;; *"ended 1") continue ;; *) return 1 ;; esac
    printf '%s\n' "$found" | last_of_each_kind | while read -r kind at; do
      from=$((at > 96 ? at - 96 : 0))
      printf '%s %s\n' "$kind" "$(od -An -v -tx1 -j "$from" -N 192 -- "$segment" | tr -d ' \n')"
    done
  done
}

# Kind and offset of the last matches of each kind. Not every awk knows how to repeat.
last_of_each_kind() {
  awk -F : -v method="$method" -v put="$put" '
    function note(kind) { at[kind, ++count[kind]] = $1 }
    function tell(kind, most) {
      for (i = count[kind] > most ? count[kind] - most + 1 : 1; i <= count[kind]; i++) print kind, at[kind, i]
    }
    $1 !~ /^[0-9]+$/ { next }
    /\/0\/version$/ { note("line") }
    $0 ~ method || /\/1$/ { note("client") }
    /(PUT|POST)..(.)?\/1$/ { note("set") }
    /DELETE..(.)?\/1$/ { note("gone") }
    $0 ~ method || $0 ~ put { note("any") }
    END { tell("line", 8); tell("client", 1); tell("set", 1); tell("gone", 1); tell("any", 1) }
  '
}

describe_binary() {
  target=$(readlink -f -- "$2")
  emit "$1" 0 "$target"
  case "$newline$targets" in *"$newline$target$newline"*) ;; *) targets=$targets$target$newline ;; esac
}

tool_version() {
  case $2 in
  etcd) limit 5 "$1" --version 2>/dev/null </dev/null | head -c 400 ;;
  *)
    # Of 2.x it is a flag; the command prints the help there.
    tool_said=$(limit 5 "$1" version 2>/dev/null </dev/null | head -c 400)
    case $tool_said in
    *'version:'*[0-9].*) printf '%s' "$tool_said" ;;
    *) limit 5 "$1" --version 2>/dev/null </dev/null | head -c 400 ;;
    esac
    ;;
  esac
}

# openssl is several times faster than sha256sum where the processor helps.
digests() {
  [ -n "$targets" ] || return 0
  IFS=$newline
  set -f
  # shellcheck disable=SC2086 # one word a line
  set -- $targets
  if has openssl; then
    limit 120 openssl dgst -sha256 -r -- "$@" || limit 120 sha256sum -- "$@"
  else
    limit 120 sha256sum -- "$@"
  fi
}
