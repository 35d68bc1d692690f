"""The gateway's HTTP port: paths, options, pipeline, the V1 and V2 dialects."""
