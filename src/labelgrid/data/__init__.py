"""Reads images and labels, and turns both into batches; a file per layout of a data set."""
