#!/usr/bin/env bash
# kubernetes_validate.sh: prints the path of a Python that has kubernetes-validate, the schemas of Kubernetes' own objects
# by version.
exec "$(dirname "$0")/venv.sh" kubernetes-validate 1.37.0 kubernetes_validate
