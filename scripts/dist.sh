#!/usr/bin/env bash
# What a release consists of, into target/dist: program, image, list of components, CRDs, chart, checksums.
# Variables: as image.sh has them.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(make -s version)
machine=$(case $(uname -m) in x86_64) echo amd64;; aarch64) echo arm64;; *) uname -m;; esac)
arch=${TARGETARCH:-$machine}
export IMAGE=${IMAGE:-cocoasyncer/operator:$version} SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
out=target/dist; rm -rf $out; mkdir -p $out
# An archive without what differs from one build to the next.
pack() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -c "$@" | gzip -n9; }

program=$(scripts/static.sh)
target=$(basename "$(dirname "$(dirname "$program")")")
pack -C "$(dirname "$program")" cocoasyncer -C "$PWD" LICENSE README.md README.zh-CN.md CHANGELOG.md > "$out/cocoasyncer-$version-linux-$arch.tar.gz"
python3 scripts/sbom.py "$target" > "$out/cocoasyncer-$version-linux-$arch.cdx.json"
scripts/image.sh --program "$program"
docker save "$IMAGE" | gzip -n9 > "$out/cocoasyncer-$version-image-linux-$arch.tar.gz"
pack crds > "$out/cocoasyncer-$version-crds.tar.gz"
if [ -f charts/cocoasyncer/Chart.yaml ]; then
  chart=$(sed -n 's/^version: *"\{0,1\}\([^" ]*\).*/\1/p' charts/cocoasyncer/Chart.yaml)
  # A chart's package is its folder in an archive.
  pack -C charts cocoasyncer > "$out/cocoasyncer-chart-$chart.tgz"
fi
[ ! -f manifests/install.yaml ] || cp manifests/install.yaml "$out/cocoasyncer-$version-install.yaml"
(cd $out && sha256sum -- * > SHA256SUMS)
ls -l $out >&2
