#!/usr/bin/env bash
# Write requirements/{runtime,image,dev,browser,fuzz,build,sbom}.txt anew: every package pinned with its hashes, and no index address.
# Needs uv. `scripts/lock.sh --upgrade` takes newer versions; without it only what must change changes.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    # Extras stay written out: an older pip looks for the newest release of "coverage[toml]" where only "coverage" is
    # pinned, and stops at its missing hash.
    uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras \
        --no-emit-index-url --no-emit-find-links --custom-compile-command scripts/lock.sh --quiet "$@"
}

compile pyproject.toml --output-file requirements/runtime.txt "$@"
# A container can be given any setting, so the image has the libraries of all of them.
compile pyproject.toml --extra postgresql --extra traces --constraints requirements/runtime.txt \
    --output-file requirements/image.txt "$@"
compile pyproject.toml --extra dev --constraints requirements/image.txt --output-file requirements/dev.txt "$@"
# The driver of `make browser` comes on top of the environment of the checks.
compile pyproject.toml --extra browser --constraints requirements/dev.txt \
    --output-file requirements/browser.txt "$@"
# So do the fuzzers of `make fuzz`.
compile pyproject.toml --extra fuzz --constraints requirements/dev.txt --output-file requirements/fuzz.txt "$@"
# What builds the wheel, for the image: the same versions as in the environment of the checks.
compile - --constraints requirements/dev.txt --output-file requirements/build.txt <<<hatchling
# What writes the bill of materials, in an environment of its own so that it does not list itself.
compile - --output-file requirements/sbom.txt "$@" <<<'cyclonedx-bom>=7'

if grep -nE 'https?://|--(extra-)?index-url|--find-links' requirements/*.txt; then
    echo "requirements/ must not name an index" >&2
    exit 1
fi
