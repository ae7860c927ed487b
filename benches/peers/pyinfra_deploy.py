"""A rolling upgrade of etcd: staged everywhere side by side, then one member at a time, the leader last."""

import json
import os

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import files, server

work = os.environ["PEER_WORK"]
release = os.environ["PEER_RELEASE"]
there = f"/opt/etcd/{release}"
ctl = "/usr/local/bin/etcdctl"
with open(f"{work}/sums") as lines:
    sums = lines.read().strip()

SNAPSHOT = f"""
set -e
export ETCDCTL_API=3
mkdir -p /var/backups/etcd
file=/var/backups/etcd/peer-{release}.db
rm -f "$file"
{ctl} snapshot save "$file" >/dev/null 2>&1
size=$(stat -c %s "$file")
[ "$(head -c $((size - 32)) "$file" | sha256sum | cut -d' ' -f1)" = "$(tail -c 32 "$file" | od -An -tx1 | tr -d ' \\n')" ]
{ctl} snapshot status "$file" -w json >/dev/null
"""

HAND_OVER = f"""
me=$({ctl} endpoint status -w json | sed -n 's/.*"member_id":\\([0-9]*\\).*/\\1/p')
to=$({ctl} member list | cut -d, -f1 | grep -v "$(printf %x "$me")" | head -n 1)
{ctl} move-leader "$to" >/dev/null
"""

MEMBER = f"""
set -e
export ETCDCTL_API=3
all=$({ctl} member list -w json | grep -o '"clientURLs":\\["[^"]*"' | cut -d'"' -f4 | paste -sd,)
{ctl} --endpoints "$all" endpoint health >/dev/null 2>&1
%s
systemctl stop etcd
mkdir -p /opt/etcd/previous
for name in etcdctl etcdutl etcd; do
  [ ! -e /usr/local/bin/$name ] || [ -e /opt/etcd/previous/$name ] || cp -L /usr/local/bin/$name /opt/etcd/previous/$name
  ln -sfn {there}/$name /usr/local/bin/.$name.new
  mv -T /usr/local/bin/.$name.new /usr/local/bin/$name
done
systemctl --no-block start etcd
tries=0
until {ctl} --command-timeout 2s endpoint status -w json 2>/dev/null | grep -q '"version":"{release}"' &&
  {ctl} --endpoints "$all" endpoint health >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ $tries -lt 1200 ] || exit 1
  sleep 0.1
done
"""

said = host.get_fact(Command, f"ETCDCTL_API=3 {ctl} endpoint status -w json")
status = json.loads(said)[0]["Status"]
leads = status["leader"] == status["header"]["member_id"]

files.put(name="The release as one file", src=f"{work}/release.tar", dest="/tmp/release.tar", mode="600")
server.shell(
    name="The binaries and their digests",
    commands=[f"mkdir -p {there} && cd {there} && tar -xf /tmp/release.tar && rm /tmp/release.tar && echo '{sums}' | sha256sum -c --quiet"],
    _sudo=True,
)
if leads:
    server.shell(name="A snapshot that is whole", commands=[SNAPSHOT], _sudo=True)
if not leads:
    server.shell(name="Followers", commands=[MEMBER % ""], _sudo=True, _serial=True)
if leads:
    server.shell(name="The leader", commands=[MEMBER % HAND_OVER], _sudo=True)
