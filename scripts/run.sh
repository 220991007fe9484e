#!/usr/bin/env bash
# Runs the two sites of manifests/examples on this machine: Shanghai, the leader, in the foreground, and Beijing, a
# follower that learns everything from it. Ctrl-C ends both. Data lies in ./data and survives.
# `scripts/run.sh BINARY beijing` runs Beijing alone in the foreground: to bring it back after it was killed.
set -euo pipefail
bin=$1
data=${COCOA_DATA:-data}
umask 077
mkdir -p "$data/beijing"
printf 'example-secret-of-beijing\n' >"$data/beijing.secret"

beijing() {
  exec "$bin" standalone --node beijing --display-name Beijing --node-code bj01 --work-mode follower \
    --data-dir "$data/beijing" --secret-file "$data/beijing.secret" \
    --plane-listen 127.0.0.1:16444 --api-listen 127.0.0.1:44444 --ops-listen 127.0.0.1:44481 \
    --dns-listen 127.0.0.1:1054 --public-address 203.0.113.20 --line-table manifests/examples/lines.txt
}
if [ "${2:-}" = beijing ]; then beijing; fi

# Each site in a process group of its own: Ctrl-C reaches this script alone, which tells each of them once, for a second
# signal aborts.
set -m
beijing >"$data/beijing.log" 2>&1 &
beijing=$!
stop() {
  trap '' INT TERM
  kill "$beijing" ${shanghai:+"$shanghai"} 2>/dev/null || true
  wait
}
trap stop INT TERM

cat <<TEXT
Two sites start on this machine. In another terminal, in this folder:
两个站点正在本机启动。请在另一个终端中（同一目录下）：

  export KUBECONFIG=$data/shanghai/kubeconfig
  kubectl get cnode,mservice                       # without kubectl / 没有 kubectl: $bin status
  dig @127.0.0.1 -p 1053 test.example.com +short                            # default -> 203.0.113.10
  dig @127.0.0.1 -p 1053 test.example.com +short +subnet=192.0.2.64/26      # CU      -> 203.0.113.20
  kill -9 $beijing     # Beijing dies: within 10 s its lines are Shanghai's / 北京站点宕机：10 秒内其线路由上海接管
  $bin resolve test.example.com --server 127.0.0.1:1053 --line-table manifests/examples/lines.txt
  scripts/run.sh $bin beijing     # Beijing is back / 北京站点恢复
  http://127.0.0.1:44443/v1/status   http://127.0.0.1:44443/v1/badge

Beijing logs to $data/beijing.log. Ctrl-C ends both.

TEXT
"$bin" standalone --node shanghai --data-dir "$data/shanghai" \
  --manifests manifests/examples --line-table manifests/examples/lines.txt &
shanghai=$!
status=0
wait "$shanghai" || status=$?
stop
# 130 and 143: somebody ended us, and that is no failure.
case $status in 130 | 143) exit 0 ;; *) exit "$status" ;; esac
