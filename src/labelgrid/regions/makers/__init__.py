"""Makers of partitions, one file each: from an image to its regions. Loads no torch."""
