#!/usr/bin/env bash
# install-manifest.sh: prints all of manifests/base as one file for `kubectl apply -f`.
set -euo pipefail
cd "$(dirname "$0")/.."
echo '# All of manifests/base in one file, printed by `make generate`: kubectl apply --server-side -f manifests/install.yaml'
for file in manifests/base/namespace.yaml crds/{cocoanodes,managedservices,apps}.yaml; do
    echo ---
    cat $file
done
sed 1d manifests/base/operator.yaml
