# docker build -t tracing-config .
# What each step does is a script in deploy/image/; docs/deployment.md tells how to run the result.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# pip takes another index than PyPI from here; what it gets must have the pinned hashes all the same.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
# First what changes seldom: packages are installed again only when their pins change.
COPY requirements/s3.txt requirements/
COPY deploy/image/install-packages deploy/image/
RUN deploy/image/install-packages requirements /app/venv
COPY . .
RUN deploy/image/install-program . /app/venv

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="tracing-config" \
      org.opencontainers.image.description="Serves Jaeger remote sampling strategies: changed by one HTTP call, agreed on by every replica." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN --mount=type=bind,source=deploy/image,target=/steps /steps/make-folders / 65532
COPY --from=build /app/venv /app/venv
ENV PATH="/app/venv/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/app/venv/bytecode \
    PYTHONUNBUFFERED=1 \
    TRACING_CONFIG_HOST=0.0.0.0 \
    TRACING_CONFIG_DRAIN_SECONDS=5 \
    TRACING_CONFIG_DATA_DIR=/app/data
WORKDIR /app
# Without any option, the data outlive the container and can be written with a read-only root. Logs go to standard output.
VOLUME /app/data
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# gRPC polls, HTTP polls, sidecar, metrics
EXPOSE 14250 5779 5778 8093 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["tracing-config", "health"]
# Drains and ends in order; it starts no children, so process 1 has none to wait for.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tracing-config"]
CMD ["serve"]
