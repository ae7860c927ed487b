//! Examples at the end of each command's help.

pub(super) const RUNNER: &str = "\
Examples:
  runner rehearse                          try it all on this machine, in containers
  runner status -i prod.toml               look
  runner plan -i prod.toml --to 3.5.16     decide
  runner upgrade -i prod.toml --to 3.5.16  do

Exit status:
  0 done or nothing to do    1 a bug in runner          2 usage or inventory invalid
  3 refused, nothing done    4 a host is unreachable    5 failed, the member was put back
  6 failed, needs a person   7 another run is going on  130 interrupted at a safe point";

pub(super) const UPGRADE: &str = "\
Examples:
  runner upgrade                           every cluster of inventory.toml to its `version`
  runner upgrade -i prod.toml --to 3.5.16  another version than the inventory's
  runner upgrade -l prod --yes             one cluster, without asking
  runner upgrade --check --diff            only the plan, with what changes in files
  runner upgrade --settle 5m               at least five minutes after each member
  runner upgrade --yes --output json       for scripts: one JSON object a line

Several clusters:
  runner upgrade --canary lab --max-clusters 4 --max-failures 2
                                           lab first and alone, then four at once; two may fail
  runner upgrade --window 22:00-04:00      begin no member that cannot be finished by four
  runner upgrade --shard 1/3               the first of three control machines

The exit status is that of the cluster that ended worst. Outside the window it is 3 and nothing is
begun; a run that the window stops between two members ends with 130, and the same command goes on.";

pub(super) const PLAN: &str = "\
Examples:
  runner plan -i prod.toml                 hops, order, steps and findings
  runner plan --to 3.5.16 --diff           with what changes in files
  runner plan --detailed-exitcode          exits with 10 when there is something to do
  runner plan --output json                the plan as data";

pub(super) const CHECK: &str = "\
Examples:
  runner check -i prod.toml                is every host reachable and every cluster fit for an upgrade?
  runner check --to 3.5.16                 for this version
  runner check -l 'prod-*,!prod-eu'        these clusters only";

pub(super) const STATUS: &str = "\
Examples:
  runner status -i prod.toml               a table of every member
  runner status -l etcd-1                  one host
  runner status --output json              one JSON object a cluster";

pub(super) const BACKUP: &str = "\
Examples:
  runner backup -i prod.toml               a verified backup of every cluster, here and on its leader's host
  runner backup -l prod -e backup.keep=14  keep two weeks of daily backups
  runner backup --check                    where it would be taken, and what stands in the way";

pub(super) const ROLLBACK: &str = "\
Examples:
  runner rollback                          after an upgrade that stopped half-way: everyone back
  runner rollback --check --diff           only the plan, with what changes in files
  runner rollback -l prod --yes            one cluster, without asking
  runner rollback -l etcd-2                one member";

pub(super) const DOWNGRADE: &str = "\
Examples:
  runner downgrade --check                 the plan, to the newest release of the minor before
  runner downgrade --to 3.5.30             this one
  runner downgrade -l prod --yes           one cluster, without asking

What was written since the upgrade stays. Until the last member has gone, `runner rollback` leads
back to the newer release; afterwards `runner upgrade` does. The inventory stays as it is.";

pub(super) const RESTORE: &str = "\
Examples:
  runner restore --check                   what would be done, and what would be lost
  runner restore                           the newest run's backup, with the release that it belongs to
  runner restore --from 20261120T120102Z-4f2a    the backup of that run
  runner restore --from ~/saved/prod.db --release 3.5.21
  runner restore --from etcd-2:/var/backups/etcd/prod/prod-20261120T120102Z-4f2a-3.4.23.db
  runner restore --bump-revision 1000000000 --mark-compacted

All members are stopped. Their data are moved aside and stay, as `member.before-RUN` in the data
folder; what was written since the backup is not in the restored cluster.";

pub(super) const EXEC: &str = "\
Examples:
  runner exec -i prod.toml -- uname -r     a program and its arguments, as they are
  runner exec -- 'df -h /var/lib/etcd | tail -n 1'   one word is a text for /bin/sh
  runner exec -l etcd-1 -b -- journalctl -fu etcd    as root, until Ctrl-C
  runner exec -f 5 -- /usr/local/bin/backup          on five hosts at once
  runner exec --output json -- date        one JSON object a line of output

Exit status:
  0 it ended with 0 everywhere     4 hosts were unreachable, it ended with 0 everywhere else
  6 it failed somewhere            130 interrupted; what still ran on the hosts was ended";

pub(super) const DISCOVER: &str = "\
Examples:
  runner discover 10.0.0.11 -b > inventory.toml        all members, from one of them
  runner discover -u ops -b -K --cluster prod etcd-1 --write prod.toml
  runner discover etcd-1 stage-1                       two clusters in one inventory

What it cannot find out is written as a comment. A host that cannot be reached is in the inventory
all the same, and the exit status is then 4.";

pub(super) const REHEARSE: &str = "\
Examples:
  runner rehearse                          three members, 3.4.23 to 3.5.16
  runner rehearse --members 5              five members
  runner rehearse --from 3.5.16 --to 3.5.30
  runner rehearse --keep                   leave the lab running to look around
  runner rehearse --destroy                remove a lab that was kept
  runner rehearse --releases ~/etcd        take releases from a folder";

pub(super) const INVENTORY: &str = "\
Examples:
  runner inventory list -i prod.toml       clusters and hosts
  runner inventory show etcd-1             a host's settings, and where each came from";

pub(super) const INVENTORY_LIST: &str = "\
Examples:
  runner inventory list -i prod.toml
  runner inventory list -i base.toml -i prod.toml -l 'prod-*'";

pub(super) const INVENTORY_SHOW: &str = "\
Examples:
  runner inventory show etcd-1 -i prod.toml
  runner inventory show etcd-1 -e user=root   what a set on the command line would change";

pub(super) const RUNS: &str = "\
Examples:
  runner runs list                         past runs, newest first
  runner runs show 20261120T1201           what that run did";

pub(super) const RUNS_LIST: &str = "\
Examples:
  runner runs list
  runner runs list --output json";

pub(super) const RUNS_SHOW: &str = "\
Examples:
  runner runs show 20261120T120102Z-4f2a
  runner runs show 20261120T1201           the beginning is enough
  runner runs show 20261120T1201 --output json   the journal itself";

pub(super) const COMPLETIONS: &str = "\
Examples:
  runner completions bash > /etc/bash_completion.d/runner
  runner completions zsh > ~/.zfunc/_runner
  runner completions fish > ~/.config/fish/completions/runner.fish";

pub(super) const MAN: &str = "\
Examples:
  runner man | man -l -                    read it now
  runner man /usr/local/share/man/man1     install one page a command";
