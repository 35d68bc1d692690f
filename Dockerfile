# Signet's images: docker build --target gateway|model-server|training .
#
#   gateway.lock ────▶ gateway-packages ───────────┬──────▶ gateway         remote mode: no TensorFlow
#   model-server.lock ▶ engine-packages ─▶ messages┤                        TensorFlow's message files: half a megabyte
#                              └─────────▶ library ┤                        and its C library: no Python part of it
#   model-store.lock ─▶ store-packages ────────────┴──────▶ model-server    also s3:// and gs://
#   training.lock ───▶ training-packages ─────────────────▶ training        TensorFlow and Keras
#
# What is in them, as CycloneDX files: docker build --target sbom --output sbom .
#
# BASE takes a mirror's name or a digest. A pip configuration of your own: --secret id=pip.conf,src=FILE.

ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown

# ---- Packages, by hash. pip itself stays in the base: it installs from there into /opt/signet.

FROM ${BASE} AS build
ENV PIP_PYTHON=/opt/signet/bin/python PIP_NO_COMPILE=1 PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# hadolint ignore=DL3008 # a pinned package vanishes with Debian's next update, and none of these reaches an image
RUN apt-get update -q && apt-get install -q -y --no-install-recommends binutils gcc && rm -rf /var/lib/apt/lists/* \
    && python -m venv --without-pip /opt/signet

FROM build AS gateway-packages
COPY deploy/gateway.lock deploy/slim.sh ./
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --require-hashes --requirement gateway.lock && ./slim.sh

FROM gateway-packages AS store-packages
COPY deploy/model-store.lock .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --require-hashes --requirement model-store.lock && ./slim.sh

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
COPY signet/__init__.py signet/
COPY serving/__init__.py signet/serving/
COPY serving/tensors/__init__.py serving/tensors/protos.py signet/serving/tensors/
RUN PYTHONPATH=. /opt/signet/bin/python message_files.py /messages \
    && python -m compileall -q --invalidation-mode unchecked-hash /messages

FROM engine-packages AS library
WORKDIR /library
RUN for name in libtensorflow_cc.so.2 libtensorflow_framework.so.2; do \
        strip --strip-unneeded -o "$name" "/opt/signet/lib/python3.11/site-packages/tensorflow/$name" || exit; \
    done

# ---- The project, as files to lay over /. What builds it, setuptools and grpcio-tools, is in the lock, by hash too.

FROM engine-packages AS project
COPY pyproject.toml setup.py README.md LICENSE ./
COPY signet signet/
COPY clients clients/
COPY serving serving/
COPY training training/
RUN pip install --no-index --no-deps --no-build-isolation --no-cache-dir --no-warn-script-location --root /project . \
    && python -m compileall -q --invalidation-mode unchecked-hash /project

# ---- The images.

FROM ${BASE} AS runtime
ARG BASE
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title=signet \
      org.opencontainers.image.description="Keras models with several named inputs and outputs, from training to production" \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.base.name=${BASE}
# A volume that is mounted on /keys becomes this user's with it: the first start makes the file of keys there.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin --no-log-init signet \
    && install --directory --owner=signet --group=signet --mode=0700 /keys
ENV PATH=/opt/signet/bin:$PATH PYTHONUNBUFFERED=1 SIGNET_HOST=0.0.0.0 SIGNET_KEYS=/keys/keys.jsonl
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
COPY --from=store-packages /opt/signet /opt/signet
COPY --from=messages /messages /opt/signet/lib/python3.11/site-packages
COPY --from=library /library /opt/signet/lib/python3.11/site-packages/tensorflow
COPY --from=project /project /
COPY deploy/healthcheck.py /opt/signet/bin/
EXPOSE 8500 8501
# The port opens when each model has a version that answers. For `signet serve` in this image: its healthcheck.py.
HEALTHCHECK --interval=10s --timeout=3s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8500), 2)"]
ENTRYPOINT ["signet", "model-server"]

FROM runtime AS training
COPY --from=training-packages /opt/signet /opt/signet
COPY --from=project /project /
# Mount a folder here: models/ is read from and written to it.
WORKDIR /work
ENTRYPOINT ["signet"]
CMD ["train", "--help"]
HEALTHCHECK NONE

# ---- What is in the images: a CycloneDX file each, from the packages that are there.

FROM build AS listed
COPY deploy/sbom.py .
COPY --from=gateway-packages /opt/signet /gateway
COPY --from=store-packages /opt/signet /model-server
COPY --from=training-packages /opt/signet /training
COPY deploy/gateway.lock deploy/model-store.lock deploy/model-server.lock deploy/training.lock ./
RUN python sbom.py /gateway gateway.lock model-server.lock tensorflow tensorflow-serving-api > /gateway.cdx.json \
    && python sbom.py /model-server model-store.lock model-server.lock tensorflow tensorflow-serving-api > /model-server.cdx.json \
    && python sbom.py /training training.lock > /training.cdx.json

FROM scratch AS sbom
COPY --from=listed /*.cdx.json /
