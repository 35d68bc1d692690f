"""What a request goes through whatever its protocol: admission, labels, lease, batching; and what a backend is."""
