"""Computes statistics of the pool; one file per statistic."""
