"""One file per data set: loaders of real files and seeded generators."""
