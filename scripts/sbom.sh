#!/usr/bin/env bash
# Write dist/sbom.cdx.json: a CycloneDX list of what a fresh installation of the runtime holds, without extras. Fails
# unless it is valid, the same when it is written twice, and names exactly what requirements/runtime.txt pins.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install=(-m pip --disable-pip-version-check install --quiet --require-hashes)

"$python" -m venv "$work/tool"
"$work/tool/bin/python" "${install[@]}" -r requirements/sbom.txt
"$python" -m venv "$work/runtime"
"$work/runtime/bin/python" "${install[@]}" -r requirements/runtime.txt
# What the environment itself came with is no part of the runtime.
"$work/runtime/bin/python" -m pip uninstall --yes --quiet setuptools pip

# The version of the service stands in its code; the list needs it where the service is described.
version=$(sed -nE 's/^__version__ = "(.+)"$/\1/p' cds_service/__init__.py)
sed "s/^dynamic = \[\"version\"\]$/version = \"$version\"/" pyproject.toml >"$work/pyproject.toml"
grep -q "^version = \"$version\"$" "$work/pyproject.toml"

write() {
    "$work/tool/bin/cyclonedx-py" environment --pyproject "$work/pyproject.toml" --spec-version 1.6 \
        --output-reproducible --validate --output-format JSON --output-file "$1" "$work/runtime/bin/python"
}
write "$work/first.json"
write "$work/second.json"
cmp "$work/first.json" "$work/second.json"
"$work/tool/bin/python" scripts/sbom.py "$work/first.json" requirements/runtime.txt

mkdir -p dist
cp "$work/first.json" dist/sbom.cdx.json
sha256sum dist/sbom.cdx.json
