"""A catalog in shards: planned, run one by one by any number of processes or machines, and merged into one index."""
