"""The gateway's gRPC port: pipeline, the V1 and V2 services."""
