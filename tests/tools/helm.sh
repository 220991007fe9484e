#!/usr/bin/env bash
# helm.sh: prints the path of a Python that has helm-sdkpy, which is Helm itself as a library. The package asks for
# Python 3.12 and needs no more than 3.11, which is what Debian 12 has.
exec "$(dirname "$0")/venv.sh" helm-sdkpy 0.1.32 helm_sdkpy --ignore-requires-python
