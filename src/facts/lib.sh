# Shared by the reading scripts. POSIX sh; nothing here writes a byte on the host: no temporary files, no
# redirections to paths, and no home folder in which a tool could keep something.
case $(export -p) in *ETCD*) steered=1 ;; *) steered= ;; esac
LC_ALL=C HOME=/nonexistent ETCDCTL_API=3
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL HOME ETCDCTL_API PATH
# Variables that would steer etcd's tools or send the questions through a proxy. The secret stays in the
# environment: as a word of `env -i NAME=VALUE` it would show in the process list.
for name in ${steered:+$(env | sed -n 's/^\(ETCD[A-Z0-9_]*\)=.*/\1/p')}; do
  case $name in ETCDCTL_USER | ETCDCTL_API) ;; *) unset "$name" ;; esac
done
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

newline='
'

has() { command -v "$1" >/dev/null 2>&1; }

if has timeout; then
  limit() { timeout "$@"; }
else
  limit() { shift; "$@"; }
fi

# emit NAME STATUS TEXT: one frame.
emit() { printf '@%s %d %d\n%s\n' "$1" "$2" "${#3}" "$3"; }

# frame NAME COMMAND...: its stdout and status; its stderr is dropped.
frame() {
  frame_name=$1
  shift
  frame_text=$("$@" 2>/dev/null </dev/null)
  emit "$frame_name" $? "$frame_text"
}

# ask NAME COMMAND...: its stdout and status as frame NAME, the end of its stderr as frame NAME.err.
ask() {
  ask_name=$1
  shift
  {
    ask_err=$({
      ask_text=$("$@" 2>&4 </dev/null)
      emit "$ask_name" $? "$ask_text" >&3
    } 4>&1)
  } 3>&1
  [ "${#ask_err}" -le 2000 ] || ask_err=$(printf '%s' "$ask_err" | tail -c 2000)
  emit "$ask_name.err" 0 "$ask_err"
}

# beside COMMAND...: runs it while the stages before it in the pipeline run, and prints after them. The last
# character is kept from the shell's stripping by a mark.
beside() {
  beside_text=$("$@" </dev/null; printf x)
  cat
  printf '%s' "${beside_text%x}"
}
