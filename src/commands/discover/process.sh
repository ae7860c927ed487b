# Frames process, argv, environment, unit, exec, data, folder, config and files for each etcd process of this host.
processes() {
  for place in /proc/[0-9]*; do
    pid=${place#/proc/}
    exe=$(readlink "$place/exe" 2>/dev/null) || continue
    case ${exe% (deleted)} in */etcd) ;; *) continue ;; esac
    describe "$pid"
  done
}

describe() {
  emit process 0 "$1"
  frame argv nul_lines "/proc/$1/cmdline"
  frame environment etcd_variables "/proc/$1/environ"
  unit=$(sed -n 's|.*/\([^/]*\.service\)$|\1|p' "/proc/$1/cgroup" 2>/dev/null | head -n 1)
  emit unit 0 "$unit"
  frame exec started_by "$unit" "$1"
  frame data opened "$1"
  frame folder readlink "/proc/$1/cwd"
  frame config config "$1"
  frame files beside_certificate "$1"
}

# The executable as the unit names it, before links are followed.
started_by() {
  [ -n "$1" ] && limit 10 systemctl show --no-pager -p ExecStart -- "$1" | sed -n 's/.*{ path=\([^ ]*\) ;.*/\1/p' | head -n 1
}

nul_lines() { tr '\000\n' '\n\001' <"$1"; }

etcd_variables() { nul_lines "$1" | grep '^ETCD_'; }

# By the database, or the log: 2.x has no database.
opened() {
  ls -l "/proc/$1/fd" | sed -n 's|.* -> \(/.*\)/member/snap/db$|\1|p
    s|.* -> \(/.*\)/member/wal/[0-9a-f-]*\.wal$|\1|p' | head -n 1
}

# The value of an option: a flag wins over the variable.
option() {
  value=$(nul_lines "/proc/$1/cmdline" | sed -n "s/^--\{0,1\}$2=//p; /^--\{0,1\}$2\$/{n;p;}" | tail -n 1)
  [ -n "$value" ] || value=$(nul_lines "/proc/$1/environ" | sed -n "s/^ETCD_$3=//p" | tail -n 1)
  printf '%s\n' "$value"
}

config() {
  file=$(option "$1" config-file CONFIG_FILE)
  [ -n "$file" ] && head -c 65536 -- "/proc/$1/cwd/$file" 2>/dev/null || head -c 65536 -- "$file"
}

# Names of files in the folder of the server's certificate, where a client's certificate may lie too.
beside_certificate() {
  cert=$(option "$1" cert-file CERT_FILE)
  [ -n "$cert" ] || cert=$(config "$1" | sed -n '/^client-transport-security/,/^[^ ]/s/^ *cert-file: *//p' | tr -d "\"'" | head -n 1)
  [ -n "$cert" ] && find "${cert%/*}" -maxdepth 1 \( -name '*.crt' -o -name '*.pem' -o -name '*.key' \) | head -n 100
}

processes
