"""What is counted and timed of requests. Below all other rooms of the gateway."""
