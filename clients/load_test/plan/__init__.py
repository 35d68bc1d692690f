"""What a load test will do: rates, mix of models, bodies, arrivals, limits."""
