"""Statistics of the pool: one file each."""
