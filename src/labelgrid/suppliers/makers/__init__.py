"""Makers of labels, one file each: from images to labels of a supplier. Loads no torch."""
