//! The lab itself: what it promises to everything that is tested on it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runner::lab::cluster::Layout;
use runner::lab::{Lab, LabError, SUDO_USER, Shape, destroy_kept, sweep};

use crate::common::{Cluster, boot, boot_in, own_dirs, remember};

/// Everything on this machine that carries the lab's id.
fn traces(id: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let machine = format!("r{id}-");
    let carries = |text: &str| text.contains(&machine) || text.contains(&format!("lab-{id}"));
    let mut found: Vec<String> = mounts
        .lines()
        .filter(|l| carries(l))
        .map(str::to_owned)
        .collect();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        found.extend(carries(&line).then_some(line));
    }
    for folder in [
        "/run/netns",
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/systemd",
        "/sys/fs/cgroup/unified",
    ] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.path().display().to_string());
        found.extend(names.filter(|name| carries(name)));
    }
    found
}

fn destroy_and_look(lab: Lab) {
    let (id, folder) = (lab.id().to_owned(), lab.folder().to_owned());
    assert!(!traces(&id).is_empty(), "a running lab leaves traces");
    lab.destroy().unwrap();
    assert_eq!(traces(&id), Vec::<String>::new());
    assert!(!folder.exists());
}

#[test]
fn hosts_answer_as_root_and_as_the_sudo_user_and_leave_nothing_behind() {
    let lab = boot(&["alpha", "beta"]);
    for name in ["alpha", "beta"] {
        assert_eq!(
            lab.sh(name, "id -un; hostname").unwrap(),
            format!("root\n{name}\n")
        );
        let by_sudo = lab
            .sh_as(SUDO_USER, name, "id -un; sudo -n id -un")
            .unwrap();
        assert_eq!(by_sudo, format!("{SUDO_USER}\nroot\n"));
        assert_eq!(lab.sh(name, "ps -o comm= 1").unwrap(), "systemd\n");
    }
    let greeting = lab
        .sh("alpha", "bash -c 'exec 3<>/dev/tcp/beta/22; head -c 4 <&3'")
        .unwrap();
    assert_eq!(greeting, "SSH-");
    let routes = lab.sh("alpha", "ip route show default").unwrap();
    assert_eq!(routes, "", "no packet may leave the lab");
    destroy_and_look(lab);
}

#[test]
fn a_host_has_its_own_keys_and_an_unknown_one_is_refused() {
    let lab = boot(&["alpha", "beta"]);
    let known = fs::read_to_string(lab.folder().join("known_hosts")).unwrap();
    let keys: Vec<&str> = known
        .lines()
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
    fs::write(lab.folder().join("known_hosts"), "").unwrap();
    let refused = lab.sh("alpha", "true").unwrap_err().to_string();
    assert!(
        refused.contains("Host key verification failed"),
        "{refused}"
    );
}

#[test]
fn a_service_of_one_host_lives_when_another_host_stops_its_own() {
    let lab = boot(&["alpha", "beta"]);
    let start = "systemd-run --quiet --unit=same sleep 600; systemctl is-active same";
    for name in ["alpha", "beta"] {
        assert_eq!(lab.sh(name, start).unwrap(), "active\n");
    }
    lab.sh("alpha", "systemctl stop same").unwrap();
    assert_eq!(
        lab.sh("beta", "systemctl is-active same").unwrap(),
        "active\n"
    );
}

#[test]
fn a_power_cut_ends_everything_at_once_and_the_disk_is_still_there() {
    let lab = boot(&["alpha"]);
    lab.sh(
        "alpha",
        "echo kept > /root/file; systemd-run --quiet --unit=late sleep 600",
    )
    .unwrap();
    let begun = Instant::now();
    lab.power_cut("alpha").unwrap();
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert!(matches!(
        lab.sh("alpha", "true"),
        Err(LabError::PowerOff(_))
    ));
    lab.power_on("alpha").unwrap();
    assert_eq!(lab.sh("alpha", "cat /root/file").unwrap(), "kept\n");
    lab.sh("alpha", "! systemctl is-active --quiet late")
        .unwrap();
}

#[test]
fn a_reboot_runs_the_shutdown_of_services_and_comes_back() {
    let lab = boot(&["alpha"]);
    let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\nExecStop=touch /root/stopped\n";
    let script = format!("printf '{unit}' > /etc/systemd/system/x.service; systemctl start x");
    lab.sh("alpha", &script.replace('\n', "\\n")).unwrap();
    lab.reboot("alpha").unwrap();
    lab.sh(
        "alpha",
        "test -e /root/stopped && ! systemctl is-active --quiet x",
    )
    .unwrap();
}

#[test]
fn a_host_that_is_cut_off_goes_on_working_and_can_be_reconnected() {
    let lab = boot(&["alpha", "beta"]);
    let script = "systemd-run --quiet sh -c 'while :; do date +%s%N > /root/new; mv /root/new /root/now; sleep 0.1; done'";
    lab.sh("alpha", script).unwrap();
    let now = lab.host("alpha").unwrap().root().join("root/now");
    lab.cut_off("alpha").unwrap();
    let begun = Instant::now();
    while !now.exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "no tick");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ticked = fs::read_to_string(&now).unwrap();
    let port = (lab.host("alpha").unwrap().address, 22).into();
    let patience = Duration::from_secs(1);
    let reach = || std::net::TcpStream::connect_timeout(&port, patience).is_ok();
    assert!(!lab.network().inside(reach).unwrap());
    while fs::read_to_string(&now).unwrap() == ticked {
        assert!(begun.elapsed() < Duration::from_secs(10), "no more ticks");
        std::thread::sleep(Duration::from_millis(20));
    }
    lab.reconnect("alpha").unwrap();
    lab.sh("alpha", "cat /root/now").unwrap();
}

#[test]
fn a_slow_link_takes_the_time_that_its_rate_says() {
    let lab = boot(&["alpha"]);
    let host = lab.host("alpha").unwrap();
    let send = || {
        let begun = Instant::now();
        let mut ssh = Command::new("ssh")
            .arg("-F")
            .arg(lab.ssh_config())
            .args(["-l", "root", &host.address.to_string(), "cat > /dev/null"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        ssh.stdin
            .take()
            .unwrap()
            .write_all(&vec![0; 4 << 20])
            .unwrap();
        assert!(ssh.wait().unwrap().success());
        begun.elapsed().as_secs_f64()
    };
    lab.slow_link("alpha", "20mbit").unwrap();
    // However busy the machine is, it is never quicker than the link.
    let slow = send();
    assert!(slow >= 1.5, "32 Mbit at 20 Mbit/s took {slow} s");
    lab.full_speed("alpha").unwrap();
    assert!(lab.full_speed("alpha").is_err(), "there is a limit still");
    send();
}

#[test]
fn a_full_disk_keeps_what_was_there_and_refuses_more() {
    let lab = boot(&["alpha"]);
    lab.sh(
        "alpha",
        "install -d -m 0700 -o ops /data; echo old > /data/file",
    )
    .unwrap();
    lab.full_disk("alpha", "/data", "1m").unwrap();
    let seen = lab
        .sh("alpha", "cat /data/file; stat -c '%U %a' /data")
        .unwrap();
    assert_eq!(seen, "old\nops 700\n");
    let refused = lab
        .sh("alpha", "head -c 2000000 /dev/zero > /data/more")
        .unwrap_err();
    assert!(
        refused.to_string().contains("No space left on device"),
        "{refused}"
    );
    lab.roomy_disk("alpha", "/data").unwrap();
    lab.sh(
        "alpha",
        "head -c 2000000 /dev/zero > /data/more && cat /data/file",
    )
    .unwrap();
}

#[test]
fn binaries_can_lie_as_plain_files_and_v2_can_be_on() {
    let flags = ["--enable-v2=true"];
    let shape = Shape::of_members(1);
    let cluster = Cluster::start_as(shape, "3.4.23", "3.5.16", Layout::PlainFiles, &flags);
    let script = "test ! -L /usr/local/bin/etcd && stat -c '%a %U' /var/lib/etcd \
                  && ETCDCTL_API=2 etcdctl set /a b && systemctl show -P Type etcd";
    assert_eq!(
        cluster.lab.sh("etcd-1", script).unwrap(),
        "700 etcd\nb\nnotify\n"
    );
    assert!(
        fs::read_to_string(&cluster.inventory)
            .unwrap()
            .contains("version = \"3.5.16\"")
    );
}

#[test]
fn a_cluster_installed_with_links_comes_back_after_a_power_cut() {
    let cluster = Cluster::start(1, "3.4.23", "3.4.23");
    let link = cluster
        .lab
        .sh("etcd-1", "readlink /usr/local/bin/etcd")
        .unwrap();
    assert_eq!(link, "/opt/etcd/3.4.23/etcd\n");
    cluster.lab.power_cut("etcd-1").unwrap();
    cluster.lab.power_on("etcd-1").unwrap();
    runner::lab::cluster::await_health(&cluster.lab, &cluster.endpoints).unwrap();
}

/// Not a test: the body of the process that a test below starts and kills.
#[test]
#[ignore = "the body of a helper process"]
fn helper_that_owns_a_lab() {
    let folder = std::env::var("RUNNER_TEST_FOLDER").unwrap();
    let mut lab = boot_in(&remember(Path::new(&folder)), &["alpha"]);
    if std::env::var_os("RUNNER_TEST_KEEP").is_some() {
        lab.keep().unwrap();
    }
    println!("\nlab {}", lab.id());
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Starts the helper, waits for its lab, kills it with SIGKILL and returns the lab's id.
fn crash_with_a_lab(folder: &Path, keep: bool) -> String {
    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper.args([
        "--ignored",
        "--exact",
        "--nocapture",
        "lab::helper_that_owns_a_lab",
    ]);
    helper
        .env("RUNNER_TEST_FOLDER", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if keep {
        helper.env("RUNNER_TEST_KEEP", "yes");
    }
    let mut helper = helper.spawn().unwrap();
    let lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let id = lines
        .map_while(Result::ok)
        .find_map(|l| Some(l.strip_prefix("lab ")?.to_owned()));
    helper.kill().unwrap();
    helper.wait().unwrap();
    id.unwrap()
}

#[test]
fn the_lab_of_a_crashed_run_is_swept_and_another_one_is_not_touched() {
    let (folder, dirs) = own_dirs();
    let id = crash_with_a_lab(folder.path(), false);
    assert!(!traces(&id).is_empty());
    let ours = boot_in(&dirs, &["alpha"]);
    assert_eq!(traces(&id), Vec::<String>::new(), "the next start sweeps");
    assert_eq!(sweep(&dirs).unwrap(), Vec::<String>::new());
    assert_eq!(ours.sh("alpha", "echo here").unwrap(), "here\n");
    destroy_and_look(ours);
}

#[test]
fn a_kept_lab_outlives_its_run_until_it_is_destroyed() {
    let (folder, dirs) = own_dirs();
    let id = crash_with_a_lab(folder.path(), true);
    assert_eq!(sweep(&dirs).unwrap(), Vec::<String>::new());
    let config = dirs.state.join(&id).join("ssh_config");
    let known = fs::read_to_string(dirs.state.join(&id).join("known_hosts")).unwrap();
    let address = known.split(',').next().unwrap();
    let mut ssh = Command::new("ssh");
    let ssh = ssh
        .arg("-F")
        .arg(config)
        .args(["-l", "root", address, "hostname"]);
    assert_eq!(ssh.output().unwrap().stdout, b"alpha\n");
    assert_eq!(destroy_kept(&dirs).unwrap(), [id.as_str()]);
    assert_eq!(traces(&id), Vec::<String>::new());
}
