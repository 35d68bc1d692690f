# Signet's images: docker build --target gateway|model-server|training .
#
#   gateway.lock ────▶ gateway-packages ──────────────┬───▶ gateway         remote mode: no TensorFlow
#   model-server.lock ▶ engine-packages ─▶ messages ──┤                     TensorFlow's message files: half a megabyte
#                              └─────────▶ library ───┴───▶ model-server    and its C library: no Python part of it
#   training.lock ───▶ training-packages ─────────────────▶ training        TensorFlow and Keras
#
# BASE takes a mirror's name or a digest. A pip configuration of your own: --secret id=pip.conf,src=FILE.

ARG BASE=docker.io/library/python:3.11-slim-bookworm

# ---- Packages, by hash. pip itself stays in the base: it installs from there into /opt/signet.

FROM ${BASE} AS build
ENV PIP_PYTHON=/opt/signet/bin/python PIP_NO_COMPILE=1 PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# hadolint ignore=DL3008 # a pinned binutils vanishes with Debian's next update, and none of it reaches an image
RUN apt-get update -q && apt-get install -q -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/* \
    && python -m venv --without-pip /opt/signet

FROM build AS gateway-packages
COPY deploy/gateway.lock .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --require-hashes --requirement gateway.lock
# Tests, stubs, headers and debug symbols go: a quarter of the whole. (Not those of bundled libraries, *.libs: stripping
# breaks what patchelf has moved.) Bytecode stays in, because a read-only container cannot keep it and would compile at
# every start; it is held against no file time, so that each build gives the same bytes.
RUN find /opt/signet -regex '.*/tests/\(.*/\)?\(test_.*\|data\)\|.*\.\(pyi\|pyx\|pxd\|h\|c\|cpp\)' -prune -exec rm -r {} + \
    && find /opt/signet -name '*.so' -not -path '*.libs/*' -exec strip --strip-debug {} + \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/signet

FROM build AS engine-packages
COPY deploy/model-server.lock .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --require-hashes --requirement model-server.lock

FROM build AS training-packages
COPY deploy/training.lock .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --require-hashes --requirement training.lock \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/signet

# ---- What the images take from a TensorFlow that none of the serving ones holds.

FROM engine-packages AS messages
COPY deploy/message_files.py .
COPY serving/__init__.py serving/protos.py serving/
RUN PYTHONPATH=. /opt/signet/bin/python message_files.py /messages \
    && python -m compileall -q --invalidation-mode unchecked-hash /messages

FROM engine-packages AS library
WORKDIR /library
RUN for name in libtensorflow_cc.so.2 libtensorflow_framework.so.2; do \
        strip --strip-unneeded -o "$name" "/opt/signet/lib/python3.11/site-packages/tensorflow/$name" || exit; \
    done

# ---- The project, as files to lay over /. What builds it, setuptools and grpcio-tools, is in the lock, by hash too.

FROM engine-packages AS project
COPY pyproject.toml setup.py README.md signet.py ./
COPY clients clients/
COPY serving serving/
COPY training training/
RUN pip install --no-index --no-deps --no-build-isolation --no-cache-dir --no-warn-script-location --root /project . \
    && python -m compileall -q --invalidation-mode unchecked-hash /project

# ---- The images.

FROM ${BASE} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin --no-log-init signet
ENV PATH=/opt/signet/bin:$PATH PYTHONUNBUFFERED=1 SIGNET_HOST=0.0.0.0
# A number, because Kubernetes cannot see that a name is not root.
USER 10001:10001

FROM runtime AS gateway
COPY --from=gateway-packages /opt/signet /opt/signet
COPY --from=messages /messages /opt/signet/lib/python3.11/site-packages
COPY --from=project /project /
COPY deploy/healthcheck.py /opt/signet/bin/
ENV SIGNET_HTTP_PORT=8080 SIGNET_GRPC_PORT=8081
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "/opt/signet/bin/healthcheck.py"]
ENTRYPOINT ["signet", "serve"]

FROM runtime AS model-server
COPY --from=gateway-packages /opt/signet /opt/signet
COPY --from=messages /messages /opt/signet/lib/python3.11/site-packages
COPY --from=library /library /opt/signet/lib/python3.11/site-packages/tensorflow
COPY --from=project /project /
EXPOSE 8500
ENTRYPOINT ["signet", "model-server"]

FROM runtime AS training
COPY --from=training-packages /opt/signet /opt/signet
COPY --from=project /project /
# Mount a folder here: models/ is read from and written to it.
WORKDIR /work
ENTRYPOINT ["signet"]
CMD ["train", "--help"]
