"""Reads images and labels, and turns them into batches; one file per layout of a data set."""
