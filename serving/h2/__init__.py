"""HTTP/2 without I/O: bytes in, events out, frames to send, for either side of a connection (RFC 9113, RFC 7541)."""
