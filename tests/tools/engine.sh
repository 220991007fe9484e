#!/usr/bin/env bash
# A Docker engine for the tests. Prints where it answers, `unix:///...`: the one at DOCKER_HOST or the default socket,
# else one of Debian's docker.io that it starts on a socket of its own and leaves running, as a service would be.
set -euo pipefail
base=${ENGINE_DIR:-/run/cocoasyncer-tests} data=${ENGINE_DATA:-/var/lib/cocoasyncer-tests}
own=unix://$base/docker.sock
alive() { DOCKER_HOST=$1 timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
for at in "${DOCKER_HOST:-}" unix:///var/run/docker.sock "$own"; do
  if [ -n "$at" ] && alive "$at"; then echo "$at"; exit; fi
done
command -v dockerd >/dev/null || { echo "no Docker engine answers, and there is no dockerd to start" >&2; exit 1; }
mkdir -p "$base" "$data"
exec 8>"$base/lock"; flock 8
try() {
  ! alive "$own" || return 0
  rm -rf "$base/docker.pid"   # a reused number there would stop the start
  setsid dockerd -H "$own" --data-root "$data" --exec-root "$base/exec" --pidfile "$base/docker.pid" "$@" \
    >"$base/dockerd.log" 2>&1 </dev/null 8>&- &
  local pid=$!
  for _ in $(seq 300); do
    alive "$own" && return 0
    kill -0 $pid 2>/dev/null || return 1
    sleep 0.1
  done
  kill $pid; return 1
}
# Not every machine lets its root mount overlays or write packet filters.
try || try --iptables=false --ip6tables=false || try --iptables=false --ip6tables=false --storage-driver vfs ||
  { tail -5 "$base/dockerd.log" >&2; exit 1; }
echo "$own"
