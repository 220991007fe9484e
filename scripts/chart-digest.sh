#!/usr/bin/env bash
# chart-digest.sh: prints a digest of all that a rendering of the chart depends on.
set -euo pipefail
cd "$(dirname "$0")/../charts/cocoasyncer"
export LC_ALL=C
find Chart.yaml values.yaml templates files -type f | sort | xargs sha256sum | sha256sum | cut -c1-16
