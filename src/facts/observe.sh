# observe BIN_DIR INSTALL_DIR CLIENT_URL CACERT CERT KEY DEPTH [HEAD]: what the member on this host says. Etcdctl is asked
# all questions at the same time: without quorum each takes its whole time-out. HEAD is a page of which `head_code` tells
# whether there is one, if the gateway answers.
observe() {
  url=${3%/} cacert=$4 cert=$5 key=$6 version_page=''
  if [ "$7" != page ]; then
    etcdctl=$(find_etcdctl "$1" "$2")
    ! by_gateway "$7" "${8-}" || return 0
  fi
  if [ -n "$version_page" ]; then
    page=$(emit version 0 "$version_page"; printf x)
  else
    page=$(ask version page /version; printf x)
  fi
  printf '%s' "${page%x}"
  # Curl's statuses, and ours for other tools. 7, refused: no process listens. 28, time is over: a process that does
  # not give this page, which needs neither raft nor disk, gives nothing. (124 is that of `timeout`.)
  case $page in "@version 7 "* | "@version 28 "* | "@version 124 "*) return ;; esac
  [ "$7" != page ] || return 0
  if speaks_v2 "$page"; then
    observe_v2
    return
  fi
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
# From 3.4 on the status tells all alarms; to list them is an entry in the log of every member.
of_cluster() {
  case $page in
  *'"etcdserver":"3.'[4-9].* | *'"etcdserver":"3.'[1-9][0-9].*) of_members ;;
  *) of_members | beside ask alarms ctl alarm list -w json ;;
  esac
}
of_members() { of_member | beside ask members ctl member list -w json; }

# by_gateway DEPTH HEAD: the version page, and the questions of this depth to the member's JSON gateway, by one curl one
# after the other; each would cost an etcdctl that has to start and to dial. The answers go by the names of etcdctl's.
# False, and not a byte printed, where the gateway is off or not there (before 3.4), where a user has to log in, where there
# is a client certificate (the gateway takes none with a common name, and logs each), where curl is older than 7.52, and
# where the read is refused: etcdctl says why, and `version_page` is set if that one came. The read, which alone needs the
# quorum, comes last, for curl ends with what takes too long.
by_gateway() {
  [ -z "${ETCDCTL_USER-}$cert" ] && [ -n "$etcdctl" ] && has curl || return 1
  # The key `health`, as `endpoint health` does; or the first of all keys, for which a user needs every right.
  range='{"key":"aGVhbHRo"}' head=$2 head_code=
  [ "$1" != full ] || range='{"key":"AA==","range_end":"AA==","limit":"1","keys_only":true}'
  set -- -s -m 5 --connect-timeout 3 --noproxy '*' ${cacert:+--cacert "$cacert"} -w '\n@%{http_code}\n'
  said=$(curl -q --fail-early "$@" "$url/version" ${head:+--next "$@" --head "$head"} --next "$@" -d "$range" \
    "$url/v3/maintenance/status" "$url/v3/cluster/member/list" "$url/v3/kv/range" 2>/dev/null </dev/null)
  curl_status=$?
  take_page
  case $code in
  200) version_page=$body ;;
  000)
    # As of the page alone: nobody listens, or time is over.
    case $curl_status in 7 | 28) emit version $curl_status '' ;; *) return 1 ;; esac
    return 0
    ;;
  *) return 1 ;;
  esac
  if [ -n "$head" ]; then
    take_page
    head_code=$code
  fi
  take_page
  is_page '"member_id":"' '"version":"' || return 1
  status=$body
  take_page
  is_page '"members":' || return 1
  members=$body
  take_page
  case $code in
  200) healthy='true' ;;
  000) healthy='false,"error":"no answer to a read in time"' ;;
  *) return 1 ;;
  esac
  emit version 0 "$version_page"
  emit etcdctl 0 "$etcdctl"
  emit status 0 "[{\"Status\":$status}]"
  emit health 0 "[{\"endpoint\":\"\",\"health\":$healthy}]"
  emit members 0 "$members"
}

# The next page of `said`: `body` and `code`; both are empty where there is none.
take_page() {
  body='' code=''
  case $said in *"$newline@"*) ;; *) return 0 ;; esac
  body=${said%%"$newline@"*} said=${said#*"$newline@"}
  code=${said%%"$newline"*}
  said=${said#"$code"}
  said=${said#"$newline"}
}

# is_page WORD...: whether `body` came well and has a header and these words.
is_page() {
  [ "$code" = 200 ] || return 1
  for word in '"header":{"cluster_id":"' "$@"; do
    case $body in *"$word"*) ;; *) return 1 ;; esac
  done
}

# Whether API 2 is the one to ask: 2.x, and 3.0 as long as the cluster's version is one of 2.x or not known, for all of
# API 3 is `not capable` until then. A 3.1 or later that has not learned the version yet speaks API 3.
speaks_v2() {
  case $1 in
  *"${newline}etcd 2."* | *'"etcdserver":"2.'* | *'"etcdcluster":"2.'*) ;;
  *'"etcdserver":"3.0.'*'"etcdcluster":"not_decided"'*) ;;
  *) return 1 ;;
  esac
}

# By HTTP alone, as etcdctl of 2.x has no words for most of it. The head of the root tells index, term and cluster from
# the member's own store; the read of a key that is not there goes through the quorum.
observe_v2() {
  ask v2.self page /v2/stats/self | beside ask v2.leader page /v2/members/leader |
    beside ask v2.members page /v2/members | beside ask v2.head page /v2/keys/ HEAD |
    beside ask v2.read page '/v2/keys/_runner/none?quorum=true'
}

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
