# shellcheck shell=sh
# What the scripts beside this one share.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

# Packages whose program is not here yet; the lab itself checks again and knows a few more. With `--tests` also those that
# tests alone need.
missing_packages() {
    wanted_programs "$@" | while read -r program package; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null 2>&1 || printf '%s\n' "$package"
    done | sort -u
    [ -e /usr/include/stdio.h ] || printf 'libc6-dev\n'
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf 'ca-certificates\n'
}

# A program and its package a line.
wanted_programs() {
    cat <<'EOF'
cc gcc
curl curl
debootstrap debootstrap
ip iproute2
nc netcat-openbsd
nsenter util-linux
ssh openssh-client
systemd-nspawn systemd-container
EOF
    [ "${1:-}" != --tests ] || cat <<'EOF'
sshd openssh-server
EOF
}

install_packages() {
    packages=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    command -v apt-get >/dev/null 2>&1 || fail "missing: $packages; install them with this system's package manager"
    [ "$(id -u)" = 0 ] || fail "missing: run \`apt-get install $packages\` as root"
    say "installing $packages"
    apt='apt-get -qq -o DPkg::Lock::Timeout=300'
    export DEBIAN_FRONTEND=noninteractive
    $apt update
    # shellcheck disable=SC2086 # a list of words
    $apt install -y --no-install-recommends $packages >/dev/null
}

wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

check_rust() {
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    export PATH
    wanted=$(wanted_rust)
    how="install Rust $wanted or newer by the instructions on https://rustup.rs, such as \`rustup toolchain install stable\`"
    command -v cargo >/dev/null 2>&1 || fail "there is no cargo: $how"
    found=$(rustc --version | cut -d' ' -f2)
    oldest=$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)
    [ "$oldest" = "$wanted" ] || fail "Rust $found is too old: $how"
}

# cargo-deny is needed by the tests alone, not by the rehearsal.
install_cargo_deny() {
    command -v cargo-deny >/dev/null 2>&1 && return 0
    say 'installing cargo-deny (once, a few minutes)'
    cargo install --quiet --locked cargo-deny
}

# destroy_labs FOLDER: takes away every lab whose owner's mark lies below the folder, and nothing else.
# All that a lab makes carries its id, the name of its folder.
destroy_labs() {
    find "$1" -maxdepth 4 -name owner -type f 2>/dev/null | while read -r mark; do
        folder=${mark%/owner}
        id=${folder##*/}
        case $id in '' | *[!0-9a-f]*) continue ;; esac
        say "taking away lab $id"
        for top in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
            end_group "$top/runner-lab-$id"
        done
        grep -F " $folder/" /proc/self/mountinfo | cut -d' ' -f5 | sort -r | while read -r point; do
            umount "$point" || umount --lazy "$point"
        done
        [ ! -e "/run/netns/runner-lab-$id" ] || ip netns delete "runner-lab-$id"
        grep -qF " $folder/" /proc/self/mountinfo || rm -rf "$folder"
    done
}

# end_group GROUP: kills the processes of a control group and of those below, then removes it.
end_group() {
    [ -d "$1" ] || return 0
    tries=0
    while pids=$(find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null) && [ -n "$pids" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 100 ] || break
        # shellcheck disable=SC2086 # a list of numbers
        kill -KILL $pids 2>/dev/null
        sleep 0.1
    done
    find "$1" -depth -type d -exec rmdir {} +
}
