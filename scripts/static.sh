#!/usr/bin/env bash
# Builds the program without any library of the system's beside it, and prints where it lies.
# For musl where the toolchain has that target; else for glibc: what `cargo build` makes, linked statically. What it needs
# of name resolution (files and DNS) is inside that library since glibc 2.34.
# Variables: TARGETARCH (amd64, arm64; else the machine's), PROFILE (of cargo; else release; dev is big and slow, and made
# in no time beside `make build`).
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
cargo=${CARGO:-cargo}
triple() { case $1 in amd64|x86_64) echo x86_64;; arm64|aarch64) echo aarch64;; *) echo "$1";; esac; }
machine=$(triple "$(uname -m)")
cpu=$(triple "${TARGETARCH:-$machine}")
libraries=$(rustc --print sysroot)/lib/rustlib
built=$([ "$profile" = dev ] && echo debug || echo "$profile")
target=$cpu-unknown-linux-musl
if [ -d "$libraries/$target" ] && command -v "$cpu-linux-musl-gcc" musl-gcc >/dev/null; then
  echo "static: $target, profile $profile" >&2
  # Where the sources and the registry lie is no part of the program.
  RUSTFLAGS="--remap-path-prefix=$PWD=/source --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
    $cargo build --locked --profile "$profile" --target "$target" --bin cocoasyncer >&2
  made=target/$target/$built/cocoasyncer
else
  target=$cpu-unknown-linux-gnu
  [ -d "$libraries/$target" ] || { echo "static: the toolchain has neither ${target%gnu}musl nor $target: rustup target add ${target%gnu}musl" >&2; exit 1; }
  echo "static: $target, profile $profile" >&2
  cross=(); made=target/$built/cocoasyncer
  [ "$cpu" = "$machine" ] || { cross=(--target "$target"); made=target/$target/$built/cocoasyncer; }
  $cargo rustc --locked --profile "$profile" "${cross[@]}" --bin cocoasyncer -- -C target-feature=+crt-static >&2
fi
# The next build links it otherwise.
out=target/static/$target/$profile
mkdir -p "$out"
if [ "$cpu" = "$machine" ]; then strip -o "$out/cocoasyncer" "$made"; else cp "$made" "$out/cocoasyncer"; fi
echo "$PWD/$out/cocoasyncer"
