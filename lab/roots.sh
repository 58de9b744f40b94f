# Debian 13 root directories, made once with mmdebstrap and kept in .lab/ (sourced by the scripts beside it).
# shellcheck shell=sh disable=SC2154  # $top is the caller's

suite=trixie
cache=$top/.lab

say() { printf '%s\n' "${0##*/}: $*" >&2; }

# need PROGRAM PACKAGE...: have these Debian packages here, unless the program is
need() {
    command -v "$1" >/dev/null && return
    shift
    [ "$(id -u)" = 0 ] || { say "missing: $*. Run:  sudo apt-get install $*"; exit 1; }
    say "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_root() {
    [ "$(id -u)" = 0 ] && return
    say "this needs root: it makes a Debian $suite in a directory and starts it (mmdebstrap, systemd-nspawn). Run:  sudo ./dev $1"
    exit 1
}

# The host's own apt sources for Debian, for the other suite: the same mirror, the same proxy, the same options.
apt_sources() {
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if [ -s "$file" ] && [ -n "$codename" ] && grep -q "$codename" "$file" && grep -q debian "$file"; then
            sed "s/\b$codename\b/$suite/g" "$file"
            return
        fi
    done
    printf 'deb http://deb.debian.org/debian %s main\n' "$suite"
}

apt_options() {
    apt-config dump --no-empty --format '%f "%v";%n' Acquire::http Acquire::https Acquire::Retries \
        Acquire::Check-Date Acquire::Check-Valid-Until
}

# root_of NAME PACKAGE...: print the directory of a root with these packages, which is made if it is not there
root_of() {
    name=$1
    shift
    packages=$(printf '%s,' "$@")
    sources=$cache/$name.sources
    mkdir -p "$cache"
    apt_sources >"$sources"
    apt_options >"$cache/apt.conf"
    made=$cache/$name-$(printf '%s' "$packages" | cat - "$sources" | cksum | cut -d' ' -f1)
    if [ ! -d "$made" ]; then
        say "making a Debian $suite root in .lab (once): $name"
        rm -rf "$cache/$name"-[0-9]*
        case $(head -n 1 "$sources") in [A-Z]*:*) : ;; *) mv "$sources" "$cache/$name.list"; sources=$cache/$name.list ;; esac
        mmdebstrap --quiet --variant=minbase --include="${packages%,}" --aptopt="$cache/apt.conf" \
            --dpkgopt=force-unsafe-io "$suite" "$made.part" "$sources" >&2
        mv "$made.part" "$made"
    fi
    printf '%s\n' "$made"
}

# in_root ROOT [OPTION...] -- COMMAND...: run a command in it, with /proc and /dev, without network
in_root() {
    directory=$1
    shift
    systemd-nspawn --quiet --register=no --keep-unit --private-network --as-pid2 --pipe --directory="$directory" "$@" </dev/null
}
