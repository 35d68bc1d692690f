"""The gate: a candidate version is held against the stable one before anybody is answered by it."""
