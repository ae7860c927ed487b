# Waits until a member answers with a version, its unit is down, or the time is over.
bin=$1 install=$2 url=${3%/} cacert=$4 cert=$5 key=$6 unit=$7 version=$8
end=$(($(date +%s) + $9))

# Whether the version answers; `said` is what else was said. Nobody has listened, or nobody has said anything yet: 7, 28 and
# 124, as `observe` knows them. Whoever gives no page may speak gRPC alone there, or the host has nothing to fetch one with.
answers() {
  said=$(page /version 2>&1 </dev/null)
  case $? in
    0) ;;
    7 | 28 | 124) return 1 ;;
    *)
      etcdctl=$(find_etcdctl "$bin" "$install")
      said=$(ctl endpoint status -w json 2>&1) || return 1
      ;;
  esac
  case $said in
    *"etcd $version" | *"\"etcdserver\":\"$version\""* | *"\"version\":\"$version\""*) return 0 ;;
  esac
  said="another version answers: $(printf '%s' "$said" |
    sed -n -e 's/.*"etcdserver":"\([^"]*\)".*/\1/p' -e 's/.*"version":"\([^"]*\)".*/\1/p')"
  return 1
}
tell() {
  printf '%s\nsaid=%s\n' "$1" "$(printf '%s' "$said" | tail -n 1)"
  show "$unit"
  echo
  [ "$1" = ready ] || log "$unit"
  exit 0
}
restarts() { printf '%s\n' "$props" | sed -n 's/^NRestarts=//p'; }

props=$(show "$unit")
first=$(restarts)
nap=0.05
while :; do
  if answers; then said= && tell ready; fi
  props=$(show "$unit")
  case $props in
    *ActiveState=failed* | *SubState=auto-restart*) tell down ;;
    *ActiveState=inactive*)
      case $props in
        *Job=[1-9]*) ;;
        *) tell down ;;
      esac
      ;;
  esac
  [ "$(restarts)" = "$first" ] || tell down
  [ "$(date +%s)" -lt "$end" ] || tell late
  sleep "$nap" 2>/dev/null || sleep 1
  case $nap in
    0.05) nap=0.1 ;;
    0.1) nap=0.2 ;;
    *) nap=0.4 ;;
  esac
done
