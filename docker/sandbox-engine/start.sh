#!/bin/sh
# Starts the engine on its socket alone: no network of its own, no TCP port; SWE containers have no network either.
set -eu
# a container's own groups are mounted read-only; the engine makes groups below them, which is how it bounds what it starts
for group in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    ! mountpoint -q "$group" || mount -o remount,bind,rw "$group"
done
rm -f /var/run/docker.pid /run/sandbox/docker.sock
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    # cgroup v2: controllers can be handed down only by a group without processes of its own, so ours move one level down
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
    sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
fi
exec dockerd --host="$DOCKER_HOST" --group=1000 --bridge=none --iptables=false --ip6tables=false "$@"
