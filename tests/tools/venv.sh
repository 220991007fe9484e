#!/usr/bin/env bash
# venv.sh PACKAGE VERSION MODULE [PIP OPTION...]: prints the path of a Python that has a package. It makes a virtual
# environment in target/tools once and finds it again later. Nothing is installed outside of it.
set -euo pipefail
package=$1 version=$2 module=$3
shift 3
tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
venv=$tools/$package-$version

fits() {
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "import $module" 2>/dev/null
}

fail() {
    echo "venv.sh: no Python with $package: $1." >&2
    echo "Install python3-venv, and let pip reach a package index." >&2
    exit 1
}

mkdir -p "$tools"
# Tests run in parallel; one of them installs.
exec 9>"$tools/$package.lock"
flock 9
if ! fits; then
    command -v python3 >/dev/null || fail "there is no python3"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || fail "python3 -m venv failed"
    timeout 300 "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" "$package==$version" >&2 ||
        fail "pip could not install it"
    fits || fail "it was installed and can't be imported"
fi
echo "$venv/bin/python"
