"""Imports labels: sources, checks, doubts, copies, the record, the numbers and the picture."""
