"""Balancers of task losses, one file each."""
