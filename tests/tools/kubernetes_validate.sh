#!/usr/bin/env bash
# kubernetes_validate.sh: prints the path of a Python that has kubernetes-validate, the schemas of Kubernetes' own objects
# by version. It makes a virtual environment in target/tools once and finds it again later. Nothing is installed outside
# of it.
set -euo pipefail
tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
package=kubernetes-validate
version=1.37.0
venv=$tools/$package-$version

fits() {
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import kubernetes_validate' 2>/dev/null
}

fail() {
    echo "kubernetes_validate.sh: no Python with $package: $1." >&2
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
    timeout 300 "$venv/bin/pip" install --quiet --disable-pip-version-check "$package==$version" >&2 ||
        fail "pip could not install it"
    fits || fail "it was installed and can't be imported"
fi
echo "$venv/bin/python"
