#!/usr/bin/env bash
# Build the image, start it, post a sample request to it, and fail unless two cards come back.
# Variables: docs/container.md. A missing builder is a failure, never a reason to skip.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE_IMAGE=${BASE_IMAGE:-python:3.12-slim}
IMAGE=${IMAGE:-rls-iron-cds}
PORT=${IMAGE_TEST_PORT:-18080}
WAIT_SECONDS=60

fail() { echo "image: $*" >&2; exit 1; }

pick_builder() {
    if docker info >/dev/null 2>&1; then echo docker
    elif command -v buildah >/dev/null; then echo buildah
    else fail "needs a running docker, or buildah (apt-get install buildah); neither was found"
    fi
}

BUILDER=${BUILDER:-$(pick_builder)}
case $BUILDER in
    docker) docker info >/dev/null 2>&1 || fail "BUILDER=docker, but no docker engine answers" ;;
    buildah) command -v buildah >/dev/null || fail "BUILDER=buildah, but it is not installed" ;;
    *) fail "BUILDER must be docker or buildah, not '$BUILDER'" ;;
esac

work=$(mktemp -d)
container=""
server=""
cleanup() {
    # The whole group: buildah would leave the processes of a chroot behind.
    [ -z "$server" ] || kill -- "-$server" 2>/dev/null || true
    if [ -n "$container" ]; then
        if [ "$BUILDER" = docker ]; then docker rm --force "$container" >/dev/null 2>&1 || true
        else wait "$server" 2>/dev/null || true; b rm "$container" >/dev/null 2>&1 || true
        fi
    fi
    rm -rf "$work"
}
trap cleanup EXIT

# buildah with the options that all its commands share.
b() { buildah ${STORAGE_DRIVER:+--storage-driver "$STORAGE_DRIVER"} "$@"; }
isolation=${BUILDAH_ISOLATION:+--isolation=$BUILDAH_ISOLATION}

# A pip.conf for the build: the one given, or one that trusts the given certificates.
secrets=()
if [ -n "${BUILD_CA:-}" ]; then
    secrets+=(--secret "id=ca,src=$BUILD_CA")
    if [ -z "${PIP_CONF:-}" ]; then
        PIP_CONF=$work/pip.conf
        printf '[global]\ncert = /run/build-ca.pem\n' >"$PIP_CONF"
    fi
fi
[ -z "${PIP_CONF:-}" ] || secrets+=(--secret "id=pip,src=$PIP_CONF")

echo "image: building $IMAGE from $BASE_IMAGE with $BUILDER"
if [ "$BUILDER" = docker ]; then
    docker build --build-arg "BASE_IMAGE=$BASE_IMAGE" "${secrets[@]}" --tag "$IMAGE" .
    container=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
        --publish "127.0.0.1:$PORT:8080" "$IMAGE")
    inside() { docker exec --interactive "$container" "$@"; }
    has_ended() { [ "$(docker inspect --format '{{.State.Running}}' "$container")" = false ]; }
    inner_port=8080
else
    # The docker format keeps the HEALTHCHECK, which the OCI format has no place for.
    b build --format docker $isolation --build-arg "BASE_IMAGE=$BASE_IMAGE" "${secrets[@]}" --tag "$IMAGE" .
    container=$(b from "localhost/$IMAGE")
    inside() { b run $isolation "$container" -- "$@"; }
    has_ended() { ! kill -0 "$server" 2>/dev/null; }
    inner_port=$PORT
    setsid buildah ${STORAGE_DRIVER:+--storage-driver "$STORAGE_DRIVER"} run $isolation \
        --env HOST=127.0.0.1 --env "PORT=$PORT" "$container" -- rls-cds serve >"$work/log" 2>&1 &
    server=$!
fi

echo "image: waiting for the service"
for ((second = 0; ; second++)); do
    if inside python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$inner_port/healthz', timeout=2)" \
        2>/dev/null; then
        break
    fi
    if [ "$second" -ge "$WAIT_SECONDS" ] || has_ended; then
        if [ "$BUILDER" = docker ]; then docker logs "$container" >&2; else cat "$work/log" >&2; fi
        fail "the service did not start within $WAIT_SECONDS seconds"
    fi
    sleep 1
done

inside python - "$inner_port" <scripts/fire.py || fail "the sample request did not return its two cards"
echo "image: $IMAGE answers correctly"
