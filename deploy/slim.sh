#!/bin/sh
# For the Dockerfile: what an image needs of /opt/signet, and its bytecode.
#
# Tests, stubs, headers and debug symbols go: a quarter of the whole. (Not those of bundled libraries, *.libs: stripping
# breaks what patchelf has moved.) Bytecode stays in, because a read-only container cannot keep it and would compile at
# every start; it is held against no file time, so that each build gives the same bytes.
set -e
find /opt/signet -regex '.*/tests/\(.*/\)?\(test_.*\|data\)\|.*\.\(pyi\|pyx\|pxd\|h\|c\|cpp\)' -prune -exec rm -r {} +
find /opt/signet -name '*.so' -not -path '*.libs/*' -exec strip --strip-debug {} +
python -m compileall -q --invalidation-mode unchecked-hash /opt/signet
