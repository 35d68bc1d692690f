"""Good and hostile callers together, for seconds or for minutes: nothing may be lost, and nothing may pile up."""
