# Two stages: the first builds the wheel and an environment, the second holds only that environment.
# BASE_IMAGE may name any image with Python >= 3.11 called `python`, also a local one (docs/container.md).
ARG BASE_IMAGE=python:3.12-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/image.txt requirements/build.txt requirements/
# Each environment is complete before the sources come: a changed line of code does not install anew.
# The build secrets `pip` (a pip.conf) and `ca` (certificates of an inspecting proxy) are used if given; they
# stay out of the image.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/build-ca.pem \
    python -m venv /build && /build/bin/pip install --require-hashes -r requirements/build.txt \
    && python -m venv /app && /app/bin/pip install --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY cds_service cds_service
COPY cards cards
COPY fixtures fixtures
RUN /build/bin/python -m hatchling build -t wheel -d /wheel \
    && /app/bin/pip install --no-index --no-deps /wheel/*.whl \
    # Modules are compiled here, since the file system is read-only later; pip is not needed any more.
    && /app/bin/pip uninstall --yes --quiet setuptools pip \
    && python -m compileall -q -f --invalidation-mode unchecked-hash /app/lib

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="rls-iron-cds" \
      org.opencontainers.image.description="CDS Hooks service: iron studies in restless legs syndrome. For clinicians, who decide; not clinically validated, not CE marked." \
      org.opencontainers.image.licenses="Apache-2.0"
# Numbers, so that an orchestrator can prove that the user is not root.
USER 10001:10001
COPY --from=build /app /app
# Nothing is written to the file system: no bytecode, and gunicorn keeps its heartbeat in shared memory.
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8080
WORKDIR /
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
CMD ["rls-cds", "serve"]
