#!/usr/bin/env bash
# kubectl.sh: prints the path of a kubectl of 1.28 or newer. It takes $KUBECTL, then the one on PATH, then one unpacked
# before, and last unpacks Debian's package into target/tools. Nothing is installed.
set -euo pipefail
tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
unpacked=$tools/kubectl/usr/bin/kubectl

fits() {
    [ -x "$1" ] || return 1
    local version
    version=$("$1" version --client 2>/dev/null | sed -n 's/^Client Version: v1\.\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 28 ]
}

fail() {
    echo "kubectl.sh: no kubectl of 1.28 or newer: $1." >&2
    echo "Install one (package \`kubernetes-client\` or \`kubectl\`), or set KUBECTL to its path." >&2
    exit 1
}

# The archive that this machine's own sources name, for another suite, with lists of its own.
unpack() {
    local suite=$1 package=$2 work=$tools/apt-$1 archive key options
    archive=$({ sed -n 's/^URIs:[[:space:]]*//p' /etc/apt/sources.list.d/*.sources
                sed -n 's/^deb[[:space:]]\(\[[^]]*\][[:space:]]*\)\?\([^[:space:]]*\).*/\2/p' /etc/apt/sources.list
              } 2>/dev/null | tr ' ' '\n' | sed -n '/\/debian\/*$/{p;q}') || true
    [ -n "$archive" ] || return 1
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f "$key" ] || return 1
    mkdir -p "$work"/lists/partial "$work"/cache/archives/partial "$work"/packages "$tools/kubectl"
    : >"$work/status"
    echo "deb [signed-by=$key] $archive $suite main" >"$work/sources.list"
    options=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/nonexistent
             -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::State::status="$work/status"
             -o Debug::NoLocking=1)
    [ "$(id -u)" != 0 ] || options+=(-o APT::Sandbox::User=root)
    apt-get "${options[@]}" update >&2 || return 1
    rm -f "$work"/packages/*.deb
    (cd "$work/packages" && apt-get "${options[@]}" download "$package" >&2) || return 1
    dpkg -x "$work"/packages/*.deb "$tools/kubectl"
}

for found in "${KUBECTL:-}" "$(command -v kubectl || true)" "$unpacked"; do
    if [ -n "$found" ] && fits "$found"; then
        echo "$found"
        exit
    fi
done
[ -z "${KUBECTL:-}" ] || fail "$KUBECTL is none"
command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "none on PATH and no apt-get here to fetch one with"
mkdir -p "$tools"
# Tests run in parallel; one of them fetches.
exec 9>"$tools/kubectl.lock"
flock 9
for from in "sid kubectl" "trixie kubectl" "trixie kubernetes-client"; do
    fits "$unpacked" && break
    # shellcheck disable=SC2086
    unpack $from || true
done
fits "$unpacked" || fail "none on PATH and the archive gave none"
echo "$unpacked"
