"""The Open Inference Protocol (V2): requests over REST and gRPC to arrays, answers, metadata. Pure."""
