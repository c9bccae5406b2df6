"""Runs work in other processes, each piece in the folder of a job. Loads no torch."""
