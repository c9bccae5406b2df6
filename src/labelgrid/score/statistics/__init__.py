"""The statistics of the pool, one file each."""
