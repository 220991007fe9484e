#!/usr/bin/env bash
# chart-readme.sh: prints the chart's README from the descriptions in its values.yaml (`# -- ` above a value); with
# `--page` the page of the book that tells the same.
set -euo pipefail
chart=$(cd "$(dirname "$0")/.." && pwd)/charts/cocoasyncer
field() { sed -n "s/^$1: *//p" "$chart/Chart.yaml"; }
table='| value | default | what it does |
|---|---|---|'
if [ "${1:-}" = --page ]; then cat <<INTRO
# Values of the chart

Chart $(field version). \`values.schema.json\` refuses what is not here; [install](install.md) tells which of them a site needs.
This page is printed from values.yaml by \`make generate\`.

$table
INTRO
else cat <<INTRO
# Chart cocoasyncer

$(field description). Chart $(field version), application $(field appVersion), Kubernetes $(field kubeVersion | tr -d '"' | sed 's/-0$//').

\`\`\`console
helm install cocoasyncer charts/cocoasyncer --namespace cocoasyncer-system --create-namespace --values my-values.yaml
helm test cocoasyncer --namespace cocoasyncer-system
\`\`\`

How to install, upgrade and remove it, and other ways than Helm: [docs/operations/install.md](../../docs/operations/install.md).
This file is printed from values.yaml by \`make generate\`.

## Values

$table
INTRO
fi
awk '
  /^ *# -- / { doc = $0; sub(/^ *# -- /, "", doc); next }
  /^ *[A-Za-z0-9]+: / {
    match($0, /[^ ]/); depth = (RSTART - 1) / 2
    key = $0; sub(/^ */, "", key); value = key; sub(/:.*/, "", key); sub(/^[^:]*: /, "", value)
    full = ""
    for (i = 0; i < depth; i++) full = full path[i] "."
    gsub(/\|/, "\\|", doc)
    printf "| `%s` | `%s` | %s |\n", full key, value, doc
  }
  /^ *[A-Za-z0-9]+:$/ {
    match($0, /[^ ]/); depth = (RSTART - 1) / 2
    key = $0; gsub(/[ :]/, "", key); path[depth] = key
  }
  { doc = "" }
' "$chart/values.yaml"
