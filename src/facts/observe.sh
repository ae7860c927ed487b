# observe BIN_DIR INSTALL_DIR CLIENT_URL CACERT CERT KEY DEPTH: what the member on this host says, by etcdctl's own
# words. All questions are asked at the same time: without quorum each takes etcdctl's whole time-out.
observe() {
  url=${3%/} cacert=$4 cert=$5 key=$6
  page=$(ask version page /version; printf x)
  printf '%s' "${page%x}"
  # Curl's statuses, and ours for other tools. 7, refused: no process listens. 28, time is over: a process that does
  # not give this page, which needs neither raft nor disk, gives nothing. (124 is that of `timeout`.)
  case $page in "@version 7 "* | "@version 28 "* | "@version 124 "*) return ;; esac
  etcdctl=$(find_etcdctl "$1" "$2")
  if [ -z "$etcdctl" ]; then
    emit etcdctl 127 ''
    return
  fi
  emit etcdctl 0 "$etcdctl"
  case $7 in
    member) of_member ;;
    cluster) of_cluster ;;
    *) of_cluster | beside ask rights ctl get '' --prefix --limit=1 --keys-only ;;
  esac
}

of_member() { ask status ctl endpoint status -w json | beside ask health ctl endpoint health -w json; }
of_cluster() { of_member | beside ask members ctl member list -w json | beside ask alarms ctl alarm list -w json; }

find_etcdctl() {
  if [ -x "$1/etcdctl" ]; then
    printf '%s' "$1/etcdctl"
  elif has etcdctl; then
    command -v etcdctl
  else
    for candidate in "$2"/*/etcdctl; do
      [ -x "$candidate" ] && newest=$candidate
    done
    printf '%s' "${newest-}"
  fi
}

# ctl ARGS...: etcdctl on the member. To log in is a bcrypt on the member and a write to raft, within the dial's time.
ctl() {
  if [ -n "${ETCDCTL_USER-}" ]; then dial=8s whole=9s; else dial=3s whole=5s; fi
  limit 12 "$etcdctl" --endpoints="$url" --dial-timeout="$dial" --command-timeout="$whole" \
    ${cacert:+--cacert="$cacert"} ${cert:+--cert="$cert"} ${key:+--key="$key"} "$@"
}

# page PATH: a page of the member by whatever can fetch it. Never /health: on 3.1 to 3.4 that writes to the raft log.
page() {
  if has curl; then
    limit 6 curl -q -sS -m 5 --connect-timeout 3 --noproxy '*' ${cacert:+--cacert "$cacert"} \
      ${cert:+--cert "$cert"} ${key:+--key "$key"} "$url$1"
  elif has python3; then
    limit 6 python3 -IBc "$PYTHON_PAGE" "$url$1" "$cacert" "$cert" "$key"
  elif has wget; then
    limit 6 wget -O - -T 5 ${cacert:+--ca-certificate="$cacert"} ${cert:+--certificate="$cert"} \
      ${key:+--private-key="$key"} "$url$1"
  elif has bash && [ "$url" != "${url#http://}" ]; then
    limit 6 bash -c "$BASH_PAGE" bash "${url#http://}" "$1"
  else
    echo "none of curl, python3, wget and bash can fetch $url$1" >&2
    return 127
  fi
}

PYTHON_PAGE='
import ssl, sys, urllib.request, urllib.error
url, ca, cert, key = sys.argv[1:5]
handlers = [urllib.request.ProxyHandler({})]
if url.startswith("https:"):
    context = ssl.create_default_context(cafile=ca or None)
    if cert:
        context.load_cert_chain(cert, key or None)
    handlers.append(urllib.request.HTTPSHandler(context=context))
try:
    page = urllib.request.build_opener(*handlers).open(url, timeout=5)
    sys.stdout.write(page.read(65536).decode("utf-8", "replace"))
except urllib.error.URLError as error:
    print(error, file=sys.stderr)
    late = isinstance(error.reason, TimeoutError)
    sys.exit(7 if isinstance(error.reason, ConnectionRefusedError) else 28 if late else 1)
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(28 if isinstance(error, TimeoutError) else 1)
'

BASH_PAGE='
host=${1%:*} port=${1##*:}
host=${host#[} host=${host%]}
exec 3<>"/dev/tcp/$host/$port" || exit 7
printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$1" >&3
sed "1,/^.\{0,1\}$/d" <&3
'
