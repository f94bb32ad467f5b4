# Two images of one source. Needs BuildKit (Docker 23 or newer, or podman 4.2 or newer).
#
#   docker build -t tidegate .                              serves; no torch, transformers or mlflow in it
#   docker build -t tidegate-export --target export .       exports runs to bundles
#
#   docker run -v tidegate:/data tidegate-export export models:/headlines@champion --name headlines
#   docker run -v tidegate:/data -p 8080:8080 -e TIDEGATE_API_KEY=... tidegate
#
# For builds that never change, name the base by digest: --build-arg PYTHON_IMAGE=python@sha256:...
# .ci/check_dockerfile.py checks this file, and performs the steps of the serve image in a virtual environment.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- build: the source becomes a wheel -----------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
COPY pyproject.toml README.md ./
COPY tidegate tidegate
COPY serving serving
COPY demos demos
COPY exporters exporters
COPY monitoring monitoring
COPY loadtests loadtests
COPY examples examples
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip wheel --no-deps --wheel-dir /wheels .

# --- runtime: what both images share -------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS runtime
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    HOME=/data \
    TIDEGATE_HOME=/data
# A fixed uid, so that the owner of a mounted volume is known beforehand. /data holds texts: its owner alone reads it.
RUN groupadd --gid 10001 tidegate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin tidegate \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
VOLUME /data
WORKDIR /data

# --- export: the environment of the exporters ----------------------------------------------------------------
FROM runtime AS export
# From PyPI, torch brings gigabytes of CUDA libraries. For the CPU build of the same version, name an index that has
# it: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=build,source=/source,target=/source \
    PYTHONPATH=/source python -m tidegate.environments --list export > /tmp/requirements.txt \
    && python -m pip install --constraint /source/tidegate/constraints/export.txt --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --no-deps /wheels/tidegate-*.whl
USER 10001:10001
ENTRYPOINT ["tidegate"]
CMD ["export", "--help"]

# --- serve: the default, so it stands last -------------------------------------------------------------------
FROM runtime AS serve
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=build,source=/source/tidegate/constraints,target=/constraints \
    --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --constraint /constraints/serve.txt /wheels/tidegate-*.whl
USER 10001:10001
EXPOSE 8080
# Follows TIDEGATE_PORT; a --port on the command line it does not see. Ready is another question: GET /readyz.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('TIDEGATE_PORT', '8080')), timeout=2); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["tidegate"]
# Beyond loopback the server refuses to start without a key: give it -e TIDEGATE_API_KEY=..., or say
# -e TIDEGATE_OPEN=true where everyone who reaches the port may do everything.
CMD ["serve", "--host", "0.0.0.0"]
