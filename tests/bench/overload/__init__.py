"""`make bench-overload`: what a gateway answers in time at up to ten times the load that it can bear."""
