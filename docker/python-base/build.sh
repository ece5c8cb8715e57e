#!/usr/bin/env bash
# Builds crl/python-base:bookworm from Debian packages alone: it takes the place of python:3.11-slim-bookworm as BASE of every
# image here. Does nothing when the image of this recipe is there already. What it needs: ../bootstrap.sh
#   docker/python-base/build.sh [TAG]
set -euo pipefail
cd "$(dirname "$0")"
. ../bootstrap.sh
tag="${1:-crl/python-base:bookworm}"
recipe="$(cat packages.txt build.sh ../bootstrap.sh | sha256sum | cut -c1-16)"

up_to_date "$tag" "$recipe" && exit 0
bootstrap python@sha256:...
# the lists stay away, the sources stay: images on this base install more by apt-get
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale}/*
import_root "$tag" "$recipe" \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin' --change 'ENV LANG=C.UTF-8' \
    --change 'CMD ["python3"]'
