#!/usr/bin/env bash
# Provides the base images that deploy/Dockerfile and deploy/docker-compose.yml name.
#
# An image that exists is left alone; one that a registry has is pulled; only where no registry can be
# reached is it made from Debian packages (debootstrap, apt) and, for the compiler, from the Rust
# toolchain of this machine. So a test without a registry builds and starts the very same
# Dockerfile and compose file as a user does. What is made here carries the label raftmq.base-image=debootstrap
# and is meant for tests only: it has the package versions of the day and no security updates later.
#
#   base-images.sh             provide the images
#   base-images.sh --remove    remove those that this script made, and no others
#
# Environment: DEBIAN_MIRROR (default http://deb.debian.org/debian), DEBIAN_SUITE (default bookworm).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly deploy=$here/../../deploy
readonly mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
readonly suite=${DEBIAN_SUITE:-bookworm}
readonly label=raftmq.base-image
readonly pull_seconds_max=180
root= # the scratch folder with the root file systems, once there is one

say() { printf 'base images: %s\n' "$*"; }
fail() {
    printf 'base images: %s\n' "$*" >&2
    exit 1
}

# The name of the only image that a file mentions for a program, so that the names have one home.
image_of() { # <program>
    sed -nE "s/^(FROM|ARG [A-Z_]+=| *image:) *($1:[^ ]+).*/\2/p" \
        "$deploy/Dockerfile" "$deploy/docker-compose.yml" | head -n 1
}

exists() { docker image inspect "$1" >/dev/null 2>&1; }

made_here() {
    [ "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null)" = debootstrap ]
}

need_root_and_debootstrap() {
    [ "$(id -u)" = 0 ] || fail "no registry can be reached, and making the images from packages needs root"
    command -v debootstrap >/dev/null || fail "no registry can be reached, and debootstrap is missing (apt-get install debootstrap)"
}

# The root file system of Debian's smallest installation, made once per run and copied for each image.
debian_root() {
    [ -z "$root" ] || return 0
    need_root_and_debootstrap
    root=$(mktemp -d /var/tmp/raftmq-base-images.XXXXXX)
    trap 'rm -rf --one-file-system "$root"' EXIT
    say "debootstrap $suite from $mirror"
    debootstrap --variant=minbase "$suite" "$root/debian" "$mirror" >"$root/log" 2>&1 \
        || { tail -n 20 "$root/log" >&2; fail "debootstrap failed"; }
    # No service may start inside a tree that is being built.
    printf '#!/bin/sh\nexit 101\n' >"$root/debian/usr/sbin/policy-rc.d"
    chmod 755 "$root/debian/usr/sbin/policy-rc.d"
    rm -rf "$root"/debian/var/cache/apt/archives/*.deb "$root"/debian/usr/share/{doc,man,info,locale}/*
}

copy_root() { # <name>
    debian_root
    cp -a "$root/debian" "$root/$1"
}

install_packages() { # <name> <package>...
    local tree=$root/$1
    shift
    cp /etc/resolv.conf "$tree/etc/resolv.conf"
    DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$tree" \
        apt-get install -q -y --no-install-recommends "$@" >"$root/log" 2>&1 \
        || { tail -n 20 "$root/log" >&2; fail "apt-get install $* failed"; }
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/usr/share/{doc,man,info,locale}/*
}

# The authorities that this machine trusts: its way to the crates registry may lead through a mirror
# or a proxy with its own.
copy_authorities() { # <name>
    local bundle=/etc/ssl/certs/ca-certificates.crt
    [ -r "$bundle" ] || fail "$bundle is missing (apt-get install ca-certificates)"
    install -D -m 644 "$bundle" "$root/$1$bundle"
}

import() { # <name> <image> <change>...
    local name=$1 image=$2 change
    local -a changes=(-c "LABEL $label=debootstrap")
    shift 2
    for change; do changes+=(-c "$change"); done
    rm -rf "$root/$name"/var/lib/apt/lists/* "$root/$name"/var/log/*
    tar -C "$root/$name" --numeric-owner -c . | docker import "${changes[@]}" - "$image" >/dev/null
    [ "$name" = debian ] || rm -rf --one-file-system "${root:?}/$name"
}

make_debian() { # <image>
    copy_root slim
    import slim "$1" 'CMD ["bash"]'
}

# As in the official image, cargo is in /usr/local/cargo/bin and its home is /usr/local/cargo.
make_rust() { # <image>
    local sysroot tree
    sysroot=$(rustc --print sysroot) || fail "no Rust toolchain on this machine: see https://rustup.rs"
    copy_root rust
    install_packages rust gcc libc6-dev
    copy_authorities rust
    tree=$root/rust/usr/local
    mkdir -p "$tree/toolchain/bin" "$tree/toolchain/lib/rustlib" "$tree/cargo/bin"
    cp -a "$sysroot"/bin/{cargo,rustc} "$tree/toolchain/bin/"
    cp -a "$sysroot"/lib/*.so* "$tree/toolchain/lib/"
    cp -a "$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')" "$tree/toolchain/lib/rustlib/"
    ln -s ../../toolchain/bin/cargo ../../toolchain/bin/rustc "$tree/cargo/bin/"
    import rust "$1" 'ENV CARGO_HOME=/usr/local/cargo' 'CMD ["bash"]' \
        'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

# As in the official image: the configuration's place and the user. (Its stop signal cannot be given to
# `docker import`; the compose file names it.)
make_haproxy() { # <image>
    copy_root haproxy
    install_packages haproxy haproxy
    mkdir -p "$root/haproxy/usr/local/etc/haproxy"
    import haproxy "$1" 'USER haproxy' \
        'CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]'
}

provide() { # <program>
    local program=$1 image started=$SECONDS
    image=$(image_of "$program")
    [ -n "$image" ] || fail "deploy/ names no image of $program"
    if exists "$image"; then
        say "$image exists"
    elif timeout "$pull_seconds_max" docker pull -q "$image" >/dev/null 2>&1; then
        say "$image pulled"
    else
        "make_$program" "$image"
        say "$image made from packages in $((SECONDS - started)) s"
    fi
}

remove() { # <program>
    local image
    image=$(image_of "$1")
    if exists "$image" && made_here "$image"; then docker rmi "$image" >/dev/null; fi
}

docker version >/dev/null 2>&1 || fail "the docker daemon does not answer"
action=provide
if [ "${1:-}" = --remove ]; then action=remove; fi
for program in debian rust haproxy; do "$action" "$program"; done
