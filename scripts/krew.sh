#!/usr/bin/env bash
# krew.sh HOMEPAGE RELEASE CHECKSUMS: prints the krew manifest of a release. RELEASE is the address under which its
# archives lie, CHECKSUMS a file as sha256sum prints it.
set -euo pipefail
[ $# = 3 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)

for address in "$1" "$2"; do
    case $address in
        https://*) ;;
        *) echo "krew.sh: $address does not begin with https://" >&2; exit 2 ;;
    esac
done

sum() {
    local archive=cocoasyncer-$version-linux-$1.tar.gz found
    found=$(awk -v archive="$archive" '{ name = $2; sub(/^\*/, "", name); if (name == archive) print $1 }' "$2")
    [[ $found =~ ^[0-9a-f]{64}$ ]] || { echo "krew.sh: no checksum of $archive in $2" >&2; exit 1; }
    echo "$found"
}

amd64=$(sum amd64 "$3")
arm64=$(sum arm64 "$3")
sed -e "s|@VERSION@|$version|g" -e "s|@HOMEPAGE@|$1|g" -e "s|@RELEASE@|${2%/}|g" \
    -e "s|@SHA256_LINUX_AMD64@|$amd64|" -e "s|@SHA256_LINUX_ARM64@|$arm64|" "$root/manifests/krew/cocoa.yaml"
