"""HTTP/1.1 for one handler: parser, connections, server."""
