"""The strategies, one file each. Loads no torch."""
