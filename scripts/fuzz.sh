#!/usr/bin/env bash
# fuzz.sh [TARGET...]: runs the fuzz targets (left out: all), FUZZ_SECONDS each (60). What was found, and the corpus, lie
# in fuzz/artifacts and fuzz/corpus. cargo-fuzz is built into target/tools once where it is not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tools
command -v cargo-fuzz >/dev/null || PATH=$tools/bin:$PATH
command -v cargo-fuzz >/dev/null || cargo install --locked --quiet --root "$tools" cargo-fuzz
# The sanitizers are unstable flags; this lets a stable toolchain have them.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/fuzz}
[ $# -gt 0 ] || set -- env_file interpolate compose
for target in "$@"; do
  cargo fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -print_final_stats=1
done
