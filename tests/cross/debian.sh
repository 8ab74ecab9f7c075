# Read by the other scripts here: packages of Debian, installed for this machine or unpacked for
# another one. What cannot be had ends the script with "skipped", never with success.

# Not a success, and not a failure either.
skipped=77

say() { printf '%s: %s\n' "${0#"$PWD/"}" "$*" >&2; }

skip() {
    say "skipped: $*"
    exit "$skipped"
}

has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }

# As root, or not at all: nobody is asked for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs the packages whose program or file is missing: `need PROGRAM=PACKAGE /FILE=PACKAGE...`
need() {
    local pair name missing=()
    for pair in "$@"; do
        name=${pair%%=*}
        case $name in
        /*) [ -e "$name" ] || missing+=("${pair#*=}") ;;
        *) has "$name" || missing+=("${pair#*=}") ;;
        esac
    done
    if [ "${#missing[@]}" = 0 ]; then return; fi
    if ! has apt-get || ! { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        skip "${missing[*]} missing, and not installable from here"
    fi
    say "installing ${missing[*]}"
    install_packages "${missing[@]}" || skip "${missing[*]} missing: see $work/apt.log"
}

# A package may start a service when it is installed; the tests start their own.
install_packages() {
    local policy=/usr/sbin/policy-rc.d made=no status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made=yes
    fi
    {
        as_root apt-get -qq update &&
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get -qq install --yes --no-install-recommends "$@"
    } >"$work/apt.log" 2>&1 || status=$?
    if [ "$made" = yes ]; then as_root rm -f "$policy"; fi
    return "$status"
}

# apt of another architecture with a state of its own, so that nothing is told to the system.
foreign_apt() {
    local command=$1 architecture=$2
    shift 2
    local state=$work/apt-$architecture
    mkdir -p "$state/state/lists/partial" "$state/cache/archives/partial"
    "$command" -o Dir::State="$state/state" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$state/cache" -o APT::Architecture="$architecture" \
        -o APT::Architectures="$architecture" -o APT::Sandbox::User=root \
        -o Debug::NoLocking=1 "$@"
}

# The lists of an architecture, once for each script that runs. A mirror that is just being brought
# up to date refuses some of them and has the others; what is missing then shows when a package is
# fetched.
foreign_update() {
    foreign_apt apt-get "$1" -qq update >"$work/apt.log" 2>&1 ||
        say "not all lists of packages for $1 could be fetched: see $work/apt.log"
}

# Unpacks packages of an architecture below a directory: `unpack ARCHITECTURE DIRECTORY PACKAGE...`
unpack() {
    local architecture=$1 directory=$2 package debs=$work/debs
    shift 2
    mkdir -p "$debs" "$directory"
    for package in "$@"; do
        rm -f "$debs/$package"_*.deb
        (cd "$debs" && foreign_apt apt-get "$architecture" -qq download "$package") \
            >"$work/apt.log" 2>&1 || skip "$package ($architecture) missing: see $work/apt.log"
        dpkg-deb -x "$debs/$package"_*.deb "$directory"
        rm -f "$debs/$package"_*.deb
    done
}
