"""Analyses of studies that docs/results uses, one file each."""
