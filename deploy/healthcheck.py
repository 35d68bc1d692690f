"""Docker's HEALTHCHECK of the gateway: exit 0 when /readyz answers 200. On a bare socket: 20 ms instead of 100."""

import os
import socket
import sys

address = os.environ.get("SIGNET_HOST", "127.0.0.1"), int(os.environ.get("SIGNET_HTTP_PORT", "8080"))
try:
    with socket.create_connection(address, timeout=2) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        answer = connection.makefile("rb").read().decode()
except OSError as error:
    sys.exit(f"{address[0]}:{address[1]} does not answer: {error}")
status = answer.partition("\r\n")[0]
print(status, answer.rpartition("\r\n")[2])  # kept by the engine: `docker inspect` shows why a container is unhealthy
sys.exit(status.split()[1:2] != ["200"])
