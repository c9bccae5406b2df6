"""Makers of partitions, a file for each: from images to regions. Loads no torch."""
