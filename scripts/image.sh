#!/usr/bin/env bash
# The image out of what the machine has: a static program, the CA roots and the last stage of the Dockerfile; no registry.
#   image.sh                builds and tags cocoasyncer/operator:VERSION in the local Docker engine, and prints that name
#   image.sh --program FILE takes this program and builds none
# Variables: TARGETARCH (amd64, arm64; else the machine's), IMAGE (name and tag), PROFILE (of cargo; else release),
# CA (file of roots; else the machine's), SOURCE_DATE_EPOCH (else the commit's time).
set -euo pipefail
cd "$(dirname "$0")/.."
program=; [ "${1:-}" = --program ] && program=$2

say() { echo "image: $*" >&2; }
fail() { say "$*"; exit 1; }
machine=$(case $(uname -m) in x86_64) echo amd64;; aarch64) echo arm64;; *) uname -m;; esac)
arch=${TARGETARCH:-$machine}
version=$(make -s version)
image=${IMAGE:-cocoasyncer/operator:$version}
ca=${CA:-/etc/ssl/certs/ca-certificates.crt}
profile=${PROFILE:-release}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
[ -s "$ca" ] || fail "there are no CA roots in $ca: install ca-certificates, or name a file by CA="

[ -n "$program" ] || program=$(scripts/static.sh)
context=target/image/$arch
rm -rf "$context"; mkdir -p "$context"/image/{etc/ssl/certs,data}
install -m 755 "$program" "$context/image/cocoasyncer"
install -m 644 "$ca" "$context/image/etc/ssl/certs/ca-certificates.crt"
# One commit, one content: times of files are part of a layer.
find "$context/image" -exec touch -h -d "@$epoch" {} +
# The last stage alone; its folder comes from here and not from the stage before.
sed -n '/^FROM scratch/,$s| --from=build /image/| image/|; /^FROM scratch/,$p' Dockerfile > "$context/Dockerfile"

platform=(); [ "$arch" = "$machine" ] || platform=(--platform "linux/$arch")
docker build -q "${platform[@]}" -t "$image" \
  --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
  --build-arg "CREATED=$(date -u -d "@$epoch" +%FT%TZ)" --label "io.cocoasyncer.profile=$profile" "$context" >/dev/null
say "$(docker image inspect -f '{{.Size}}' "$image") octets, linux/$arch"
echo "$image"
