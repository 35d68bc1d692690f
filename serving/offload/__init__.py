"""Work that would hold up the event loop, done in worker processes."""
