#!/usr/bin/env bash
# manifests.sh PROGRAM: writes manifests/base/operator.yaml, which is the chart rendered by Helm against an embedded plane,
# and manifests/install.yaml, which is all of manifests/base in one file.
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/.."
base=manifests/base
home=$(mktemp -d)
touch "$home/log"
"$program" standalone --data-dir "$home/data" --docker none --dns-listen 127.0.0.1:0 --plane-listen 127.0.0.1:0 \
    --api-listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 >>"$home/log" 2>&1 &
plane=$!
trap 'kill $plane; wait $plane 2>/dev/null || true; rm -rf "$home"' EXIT
for _ in $(seq 300); do
    ! grep -q 'component=http ready=true' "$home/log" || break
    kill -0 $plane || { cat "$home/log" >&2; exit 1; }
    sleep 0.1
done
python=$(tests/tools/helm.sh)
echo '{"do": "render", "values": {"crds": {"install": false}}}' | HOME=$home "$python" tests/tools/helm.py "$home/data/kubeconfig" cocoasyncer-system \
    charts/cocoasyncer >"$home/rendered"
# The definitions are in crds/ (and stand in that plane already); the objects are not Helm's.
cat >"$home/write.py" <<'P'
import json, sys
release = json.load(open(sys.argv[1]))
sys.exit(release["error"]) if "error" in release else None
parts = [part.strip("\n") for part in ("\n" + release["manifest"]).split("\n---\n") if part.strip()]
dropped = ("# Source: ", "app.kubernetes.io/managed-by:", "helm.sh/chart:")
for part in parts:
    print("---")
    print("\n".join(line for line in part.split("\n") if not line.strip().startswith(dropped)))
P
{
    echo "# The chart as it is with its own values, printed by \`make generate\`; chart $(scripts/chart-digest.sh)."
    "$python" "$home/write.py" "$home/rendered"
} >"$home/operator.yaml"
mv "$home/operator.yaml" $base/operator.yaml
scripts/install-manifest.sh >manifests/install.yaml
echo "$base/operator.yaml"
echo manifests/install.yaml
