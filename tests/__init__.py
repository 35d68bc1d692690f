"""The tests mirror the source; servers are real, on free ports."""
