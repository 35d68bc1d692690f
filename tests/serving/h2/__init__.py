"""HTTP/2's core, held against the RFCs, against `h2` and `hpack`, and against who means harm."""
