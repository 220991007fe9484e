#!/usr/bin/env bash
# prometheus.sh: prints the folder of a `prometheus` and a `promtool`: the one on PATH, else one that it unpacks of Debian's
# package into target/tools. Nothing is installed, and no service starts.
set -euo pipefail
tools=$(cd "$(dirname "$0")/../.." && pwd)/target/tools
unpacked=$tools/prometheus/usr/bin
fits() { [ -x "$1/prometheus" ] && [ -x "$1/promtool" ]; }
for found in "$(dirname "$(command -v promtool || echo /nonexistent/promtool)")" "$unpacked"; do
  if fits "$found"; then echo "$found"; exit; fi
done
command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
  { echo "prometheus.sh: no prometheus on PATH and no apt-get to fetch one with: install the package prometheus" >&2; exit 1; }
mkdir -p "$tools/prometheus"
# Tests run in parallel; one of them fetches.
exec 9>"$tools/prometheus.lock"; flock 9
if ! fits "$unpacked"; then
  work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
  options=(-qq); [ "$(id -u)" != 0 ] || options+=(-o APT::Sandbox::User=root)
  (cd "$work" && apt-get "${options[@]}" download prometheus >&2 && dpkg -x prometheus_*.deb "$tools/prometheus")
fi
fits "$unpacked" || { echo "prometheus.sh: Debian's package could not be had: install the package prometheus" >&2; exit 1; }
echo "$unpacked"
