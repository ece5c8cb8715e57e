#!/usr/bin/env bash
# Builds crl/swe-base:bookworm from Debian packages alone. Does nothing when the image of this recipe is there already.
# What it needs: ../bootstrap.sh
#   docker/swe-base/build.sh [TAG]
#   BASE=debian@sha256:... docker/swe-base/build.sh   builds the Dockerfile on that base instead
set -euo pipefail
cd "$(dirname "$0")"
. ../bootstrap.sh
tag="${1:-crl/swe-base:bookworm}"
recipe="$(cat packages.txt finish.sh build.sh ../bootstrap.sh Dockerfile | sha256sum | cut -c1-16)-${BASE:-debootstrap}"

up_to_date "$tag" "$recipe" && exit 0
if [ -n "${BASE:-}" ]; then
    docker build --build-arg "BASE=$BASE" --label "crl.recipe=$recipe" -t "$tag" .
    exit 0
fi
bootstrap debian@sha256:...
cp finish.sh "$root/tmp/"
chroot "$root" sh /tmp/finish.sh
rm "$root/tmp/finish.sh"
import_root "$tag" "$recipe" \
    --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'ENV LANG=C.UTF-8' \
    --change 'USER agent' --change 'WORKDIR /testbed' \
    --change 'ENTRYPOINT ["/usr/bin/tini", "--"]' --change 'CMD ["bash"]'
