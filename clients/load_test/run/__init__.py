"""A load test while it runs: pace, targets, recording, result."""
