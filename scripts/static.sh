#!/usr/bin/env bash
# Builds the program without any library of the system's beside it, and prints where it lies.
# For musl where the toolchain has that target; else for glibc, linked statically: what it needs of name resolution (files
# and DNS) is inside the library since glibc 2.34.
# Variables: TARGETARCH (amd64, arm64; else the machine's), PROFILE (of cargo; else release). With PROFILE=dev it is what
# `make build` made, linked once more: big and slow, made in no time, for tests on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
if [ "$profile" = dev ]; then
  ${CARGO:-cargo} rustc --locked --bin cocoasyncer -- -C target-feature=+crt-static >&2
  mkdir -p target/static
  strip -o target/static/cocoasyncer target/debug/cocoasyncer
  echo "$PWD/target/static/cocoasyncer"
  exit
fi
cpu=$(case ${TARGETARCH:-$(uname -m)} in amd64|x86_64) echo x86_64;; arm64|aarch64) echo aarch64;; *) echo "${TARGETARCH:-$(uname -m)}";; esac)
libraries=$(rustc --print sysroot)/lib/rustlib
target=$cpu-unknown-linux-musl; flags=
if [ ! -d "$libraries/$target" ] || ! command -v "$cpu-linux-musl-gcc" musl-gcc >/dev/null; then
  target=$cpu-unknown-linux-gnu; flags='-C target-feature=+crt-static'
  [ -d "$libraries/$target" ] || { echo "static: the toolchain has neither ${target%gnu}musl nor $target: rustup target add ${target%gnu}musl" >&2; exit 1; }
fi
echo "static: $target, profile $profile" >&2
# Where the sources and the registry lie is no part of the program.
flags="$flags --remap-path-prefix=$PWD=/source --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
RUSTFLAGS="${flags# }" ${CARGO:-cargo} build --locked --profile "$profile" --target "$target" --bin cocoasyncer >&2
echo "$PWD/target/$target/$profile/cocoasyncer"
