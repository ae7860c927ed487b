# gather BIN_DIR INSTALL_DIR CLIENT_URL CACERT CERT KEY DATA_DIR BACKUP_DIR UNIT VERSIONS [FILE...]: all facts of this
# host. Hashing and the member's answers take the most time, so they run beside each other.
gather() {
  url=${3%/} cacert=$4 cert=$5 key=$6
  describe "$@" | beside describe_member "$@"
  # Last, because it is compared with the control machine's clock when the answer arrives.
  frame clock date '+%s %N'
}

describe_member() {
  data_dir=$7 head_code=
  observe "$1" "$2" "$3" "$4" "$5" "$6" full "$url/v2/keys/"
  describe_v2
}

describe() {
  bin_dir=$1 install_dir=$2 data_dir=$7 backup_dir=$8 unit=$9
  shift 9
  versions=$1
  shift
  frame user id -u
  # The name has no blanks.
  names=$(uname -nm)
  emit host 0 "${names%% *}"
  emit arch 0 "${names##* }"
  emit tools 0 "$(tools)"
  # Who holds one is asked only where there is any.
  locks=
  for lock in /run/runner/*.lock; do [ ! -e "$lock" ] || locks=some; done
  emit locks 0 "$locks"
  describe_unit
  emit data 0 "$(describe_data)"
  describe_disks
  for file in "$@" "$(config_in_effect)"; do
    describe_file "$file"
  done
  describe_binaries
  describe_log
  describe_v2_by_tool
}

# The configuration file that the process, or else the unit, was told of.
config_in_effect() {
  case $argv$shown in *-config-file*) ;; *) return 0 ;; esac
  {
    if [ "$pid" -gt 0 ]; then
      printf '%s\n' "$argv"
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
  shown=${shown%x} pid=0 argv='' open_files=''
  printf '%s' "$shown"
  case $shown in *"${newline}MainPID="*) pid=${shown#*"${newline}MainPID="} pid=${pid%%"$newline"*} ;; esac
  case $pid in '' | *[!0-9]*) pid=0 ;; esac
  if [ "$pid" -gt 0 ] && [ -r "/proc/$pid/cmdline" ]; then
    argv=$(nul_lines "/proc/$pid/cmdline" 2>/dev/null)
    emit process.argv 0 "$argv"
    emit_etcd_lines process.env "$(nul_lines "/proc/$pid/environ" 2>/dev/null)"
    # Database and logs, each after the number of its descriptor: where the data are, whatever flags, variables and
    # files say.
    open_files=$(ls -l "/proc/$pid/fd" 2>/dev/null | sed -n 's|.* \([0-9]*\) -> \(/.*/member/snap/db\)$|\1 \2|p
      s|.* \([0-9]*\) -> \(/.*/[0-9a-f]*-[0-9a-f]*\.wal\)$|\1 \2|p')
  else
    pid=0
  fi
  case $shown in
  *"${newline}EnvironmentFiles="*) frame unit.env environment_files "$shown" ;;
  *) emit unit.env 0 '' ;;
  esac
  # What was put into systemd itself, every unit gets.
  emit_etcd_lines manager.env "$(limit 10 systemctl show-environment 2>/dev/null </dev/null)"
}

# Words that end in NUL as lines; a newline inside a word becomes the byte 1.
nul_lines() { tr '\000\n' '\n\001' <"$1"; }

# Only etcd's variables leave the host.
emit_etcd_lines() {
  etcd_lines=
  case $newline$2 in *"${newline}ETCD_"*) etcd_lines=$(printf '%s\n' "$2" | grep '^ETCD_') ;; esac
  emit "$1" 0 "$etcd_lines"
}

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
  [ -d "$data_dir/member/wal" ] && echo exists=1
  set -- "$data_dir" "$data_dir"/member/wal/*
  [ ! -f "$data_dir/member/snap/db" ] || set -- "$@" "$data_dir/member/snap/db"
  for snap in "$data_dir"/member/snap/*.snap; do
    newest_snap=$snap
  done
  [ ! -f "$newest_snap" ] || set -- "$@" "$newest_snap"
  stat -c '%a %U:%G %s %n' -- "$@" 2>/dev/null | {
    wal=0
    while read -r mode owner size path; do
      case $path in
      "$data_dir") printf 'mode=%s\nowner=%s\n' "$mode" "$owner" ;;
      "$data_dir/member/wal/"*) wal=$((wal + size)) ;;
      "$data_dir/member/snap/db") echo "db=$size" ;;
      *) echo "snap=${path##*/} $size" ;;
      esac
    done
    echo "wal=$wal"
  }
}

# Whether the v2 store has keys: a read of the member's own copy, which leaves no entry in the log. Where API 2 is not
# served, the newest raft snapshot has the store as JSON, the keys of clients below `/1`. The root with all its values can
# be large.
describe_v2() {
  # The gateway's curl has asked for the head of that page, too.
  if [ "$head_code" = 404 ]; then
    listing='404 page not found'
  else
    listing=$(page '/v2/keys/?recursive=false' 2>/dev/null </dev/null | head -c 400)
  fi
  emit v2.keys 0 "$listing"
  case $listing in
  '{'*)
    # Anybody may ask this. 2.0 has no users and says that there is no such page.
    emit v2.users 0 "$(page /v2/auth/enable 2>/dev/null </dev/null | head -c 400)"
    ;;
  *) [ ! -r "$data_dir/member/snap" ] || emit v2.snap 0 "$(v2_in_snapshot)" ;;
  esac
}

v2_in_snapshot() {
  for v2_snap in "$data_dir"/member/snap/*.snap; do :; done
  if [ -f "$v2_snap" ] && tr '{' '\n' <"$v2_snap" | grep -aq '^"Path":"/[1-9][0-9]*/[^_]'; then
    echo keys
  else
    echo none
  fi
}

# The folder of the database or, in 2.x, the log that the process holds open.
data_dir_in_use() {
  case $open_files$newline in
  */member/snap/db"$newline"*) in_use=${open_files%%/member/snap/db*} ;;
  */member/wal/*) in_use=${open_files%%/member/wal/*} ;;
  *) return 0 ;;
  esac
  in_use=${in_use##*"$newline"}
  printf '%s' "${in_use#* }"
}

# Space where the folders are, or would be: one frame each.
describe_disks() {
  set --
  for folder in "$data_dir" "$install_dir" "$backup_dir" "$bin_dir"; do
    there "$folder"
    set -- "$@" "$there"
  done
  disks=$(limit 10 df -Pk -- "$@" 2>/dev/null </dev/null)
  disks_status=$?
  head=${disks%%"$newline"*}
  for name in data_dir install_dir backup_dir bin_dir; do
    disks=${disks#*"$newline"}
    # One that df cannot tell has no line.
    [ $disks_status = 0 ] && line=${disks%%"$newline"*} || line=
    emit "disk.$name" $disks_status "$head$newline$line"
  done
}

# Sets `there`: the path, or the nearest folder above it that there is.
there() {
  there=$1
  while [ ! -e "$there" ]; do
    case $there in
    */*) there=${there%/*} ;;
    *) there=/ ;;
    esac
    [ -n "$there" ] || there=/
  done
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
  names='' here=''
  set --
  for name in etcd etcdctl etcdutl; do
    [ -f "$bin_dir/$name" ] || continue
    names="$names binary/$name"
    set -- "$@" "$bin_dir/$name"
    # Nobody asks for etcdutl's: it does not tell what a host can do.
    [ "$name" != etcdutl ] || continue
    said=$(tool_version "$bin_dir/$name" "$name")
    emit "version/$name" 0 "$said"
    [ "$name" = etcd ] && here=$(printf '%s\n' "$said" | sed -n 's/^etcd [Vv]ersion:\{0,1\} *//p' | head -n 1)
  done
  installed=$here
  case " $versions " in *" $here "*) here= ;; esac
  [ "$pid" -gt 0 ] || versions="$versions $(kept)"
  for version in $versions $here; do
    for name in etcd etcdctl etcdutl; do
      [ -f "$install_dir/$version/$name" ] || continue
      names="$names staged/$version/$name"
      set -- "$@" "$install_dir/$version/$name"
    done
  done
  targets='' resolved=''
  # Not every readlink takes more than one path.
  [ $# = 0 ] || resolved=$(readlink -f -- "$@" 2>/dev/null) || resolved=$(for path; do readlink -f -- "$path"; done)
  for name in $names; do
    target=${resolved%%"$newline"*} resolved=${resolved#*"$newline"}
    emit "$name" 0 "$target"
    case "$newline$targets" in *"$newline$target$newline"*) ;; *) targets=$targets$target$newline ;; esac
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
  requests=unknown
  case $installed in 3.[456].*) ;; *) return 0 ;; esac
  log_dir=$data_dir/member/wal
  case $open_files in
  *.wal*)
    log_dir=${open_files%%.wal*}
    log_dir=${log_dir##*"$newline"} log_dir=${log_dir%/*}
    log_dir=${log_dir#* }
    ;;
  esac
  newest=0000000000000000
  for found_snap in "$data_dir"/member/snap/*-*.snap; do
    found_snap=${found_snap##*-}
    case $found_snap in [0-9a-f]*.snap) newest=${found_snap%.snap} ;; esac
  done
  set --
  for segment in "$log_dir"/*-*.wal; do
    first=${segment##*-}
    # Both are sixteen hexadecimal digits, which sort as text.
    if [ $# -gt 0 ] && ! expr "x${first%.wal}" '>' "x$newest" >/dev/null; then set --; fi
    set -- "$@" "$segment"
  done
  requests=$(old_requests "$@" 2>/dev/null </dev/null)
  requests_status=$?
  emit log.old $requests_status "$requests"
  [ $requests_status = 0 ] || requests=unknown
}

# From 3.5.18 on etcdutl looks into the data folder for keys of API 2, which costs the reading of all of it. It is asked
# only where a raft snapshot and the log do not tell: clients wrote or deleted keys, or the log cannot be read.
describe_v2_by_tool() {
  [ -x "$bin_dir/etcdutl" ] && [ -d "$data_dir/member/snap" ] || return 0
  case $newline$requests in *"$newline"set\ * | *"$newline"gone\ * | *unknown) ;; *) return 0 ;; esac
  v2_check=$(limit 20 "$bin_dir/etcdutl" check v2store --data-dir "$data_dir" 2>&1 </dev/null)
  emit v2.check $? "$(printf '%s' "$v2_check" | tail -c 400)"
}

old_requests() {
  has awk || return 1
  method=$(printf '\022(\006DELETE|\004POST|\004QGET|\004SYNC)\032')
  put=$(printf '\022\003PUT\032')
  for segment; do
    [ -f "$segment" ] || return 1
    # It is searched once: lines of offset and match. Lines end with NUL for grep, as paths of ten bytes have a newline
    # before them.
    find_end "$segment"
    found=$({
      { head -c "${end:-1000000000}" -- "$segment" || printf 'unread\0' >&3; } 2>/dev/null |
        limit 30 grep -zaobE -e "($method|$put)((.|..)/1)?|/0/version" 2>/dev/null
      printf 'ended %d\0' $?
    } 3>&1 | tr '\000\n' '\n\001')
    case $found in *unread*) return 1 ;; *"ended 0") ;; *"ended 1") continue ;; *) return 1 ;; esac
    printf '%s\n' "$found" | last_of_each_kind | while read -r kind at; do
      from=$((at > 96 ? at - 96 : 0))
      # shellcheck disable=SC2046 # joins the words
      printf '%s' "$kind " $(od -An -v -tx1 -j "$from" -N 192 -- "$segment") "$newline"
    done
  done
}

# Sets `end` to where the process writes next in a segment; empty where nobody knows. Behind it are zeros alone: etcd
# allocates 64 MB ahead, which take long to search.
find_end() {
  end=
  case $open_files$newline in *" $1$newline"*) ;; *) return 0 ;; esac
  fd=${open_files%%" $1"*}
  read -r _ end <"/proc/$pid/fdinfo/${fd##*"$newline"}"
  case $end in '' | *[!0-9]*) end=0 ;; esac
  [ "$end" -gt 0 ] && cmp -s -i "$end:0" -n 4096 -- "$1" /dev/zero || end=
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
