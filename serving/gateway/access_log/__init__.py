"""The access log: a line a request at choice, written off the event loop."""
