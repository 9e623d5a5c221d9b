ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY requirements/ requirements/
RUN python -m venv --without-pip /opt/tracing-config \
    && pip install --require-hashes --only-binary :all: -r requirements/build.txt \
    && pip --python /opt/tracing-config/bin/python install --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY . .
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/tracing-config/bin/python install --no-index --no-deps /wheels/*.whl

FROM ${PYTHON_IMAGE}
RUN useradd --uid 65532 --no-create-home --shell /usr/sbin/nologin tracing-config \
    && install --directory --owner tracing-config --group tracing-config --mode 0750 /var/lib/tracing-config
COPY --from=build /opt/tracing-config /opt/tracing-config
ENV PATH="/opt/tracing-config/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    TRACING_CONFIG_HOST=0.0.0.0 \
    TRACING_CONFIG_DRAIN_SECONDS=5 \
    TRACING_CONFIG_DATA_DIR=/var/lib/tracing-config
WORKDIR /var/lib/tracing-config
VOLUME /var/lib/tracing-config
USER 65532:65532
# gRPC polls, HTTP polls, sidecar, metrics
EXPOSE 14250 5779 5778 8093 9090
ENTRYPOINT ["tracing-config"]
CMD ["serve"]
