"""Who gets what there is not enough of: policies that know numbers and names, and nothing of requests."""
