"""`signet load`: how a served model behaves under load, measured from when each request was to start.

    mix ──bodies──▶ arrays ──dialects──▶ payloads ──┐
    steps ──arrivals──▶ when ───────────────────────┴─run─▶ target (HTTP, gRPC) ──recording──▶ result ──▶ JSON, HTML

In an open loop requests start when the plan says so, whether or not earlier ones are answered, and their latency counts
from then: a server that stalls for two seconds shows two seconds, not one slow request per connection (which is called
coordinated omission). In a closed loop so many callers ask again as they are answered. Goodput is good answers a second;
a warm-up comes first and is not counted.
"""
