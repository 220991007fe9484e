#!/usr/bin/env bash
# ali_sdk.sh: prints the path of a Python that has Ali's own SDK for Alidns.
exec "$(dirname "$0")/venv.sh" alibabacloud-alidns20150109 4.6.1 alibabacloud_alidns20150109.client
