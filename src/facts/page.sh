# Pages of a member by HTTP. `url`, `cacert`, `cert` and `key` are set; `has` and `limit` are those of lib.sh.

# page PATH [HEAD]: a page of the member, or its head, by whatever can fetch it; the page that goes with an error too.
# Never /health: on 3.1 to 3.4 that writes to the raft log. A quorum read of 2.x without quorum fails after 7 s.
page() {
  if has curl; then
    login_for_curl "$1" | curl -q -sS -m 8 --connect-timeout 3 --noproxy '*' ${cacert:+--cacert "$cacert"} \
      ${cert:+--cert "$cert"} ${key:+--key "$key"} ${2:+--head} -K - "$url$1"
  elif has python3; then
    limit 9 python3 -IBc "$PYTHON_PAGE" "$url$1" "$cacert" "$cert" "$key" "${2:-GET}"
  elif has wget; then
    page_by_wget "$@"
  elif has bash && [ "$url" != "${url#http://}" ]; then
    limit 9 bash -c "$BASH_PAGE" bash "${url#http://}" "$1" "${2:-GET}"
  else
    echo "none of curl, python3, wget and bash can fetch $url$1" >&2
    return 127
  fi
}

# Only API 2 asks for a password on pages. It goes by stdin, never on a command line.
login_for_curl() {
  case $1 in
  /v2/*) [ -z "${ETCDCTL_USER-}" ] || printf 'user = "%s"\n' "$(printf '%s' "$ETCDCTL_USER" | sed 's/[\\"]/\\&/g')" ;;
  esac
}

# Heads go to its stderr. Its status 8 is a page that comes with an error.
page_by_wget() {
  wget_errors=
  wget --help 2>&1 | grep -q -e --content-on-error && wget_errors=--content-on-error
  if [ -n "${2-}" ]; then
    limit 9 wget -S --spider -T 8 ${cacert:+--ca-certificate="$cacert"} ${cert:+--certificate="$cert"} \
      ${key:+--private-key="$key"} "$url$1" 2>&1
  else
    limit 9 wget -O - -T 8 $wget_errors ${cacert:+--ca-certificate="$cacert"} ${cert:+--certificate="$cert"} \
      ${key:+--private-key="$key"} "$url$1"
  fi
}

PYTHON_PAGE='
import base64, os, ssl, sys, urllib.request, urllib.error
url, ca, cert, key, method = sys.argv[1:6]
handlers = [urllib.request.ProxyHandler({})]
if url.startswith("https:"):
    context = ssl.create_default_context(cafile=ca or None)
    if cert:
        context.load_cert_chain(cert, key or None)
    handlers.append(urllib.request.HTTPSHandler(context=context))
request = urllib.request.Request(url, method=method)
login = os.environ.get("ETCDCTL_USER")
if login and "/v2/" in url:
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
try:
    try:
        page = urllib.request.build_opener(*handlers).open(request, timeout=8)
    except urllib.error.HTTPError as error:
        page = error
    if method == "HEAD":
        print("HTTP/1.1 %d" % page.status)
        sys.stdout.writelines("%s: %s\n" % pair for pair in page.headers.items())
    else:
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
login=
if [ -n "$ETCDCTL_USER" ] && [ "${2#/v2/}" != "$2" ]; then
  login="Authorization: Basic $(printf %s "$ETCDCTL_USER" | base64 -w 0)"$'"'\\r\\n'"'
fi
printf "%s %s HTTP/1.0\r\nHost: %s\r\n%s\r\n" "$3" "$2" "$1" "$login" >&3
if [ "$3" = HEAD ]; then cat <&3; else sed "1,/^.\{0,1\}$/d" <&3; fi
'
