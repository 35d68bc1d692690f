"""What callers notice of faults of model servers behind a gateway: `make bench-faults`."""
