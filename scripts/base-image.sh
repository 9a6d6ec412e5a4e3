#!/usr/bin/env bash
# Build a local base image, localhost/python-base, from Debian packages: for machines that reach a Debian
# mirror but no image registry. Needs root, debootstrap and buildah.
#   SUITE=bookworm  MIRROR=http://deb.debian.org/debian  BASE_TAG=localhost/python-base
set -euo pipefail

SUITE=${SUITE:-bookworm}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
BASE_TAG=${BASE_TAG:-localhost/python-base}
STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}

for tool in debootstrap buildah; do
    command -v "$tool" >/dev/null || { echo "base-image: $tool is needed (apt-get install $tool)" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "base-image: debootstrap needs root" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
    "$SUITE" "$root" "$MIRROR"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
# The official images call it python; the Dockerfile does too.
ln -sf python3 "$root/usr/bin/python"

container=$(buildah --storage-driver "$STORAGE_DRIVER" from scratch)
trap 'buildah --storage-driver "$STORAGE_DRIVER" rm "$container" >/dev/null; rm -rf "$root"' EXIT
buildah --storage-driver "$STORAGE_DRIVER" add --quiet "$container" "$root" / >/dev/null
buildah --storage-driver "$STORAGE_DRIVER" commit --quiet "$container" "$BASE_TAG" >/dev/null
echo "built $BASE_TAG ($SUITE)"
