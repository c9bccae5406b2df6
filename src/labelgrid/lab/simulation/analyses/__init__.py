"""Analyses of finished studies, one file each: what only the hidden labels can tell."""
