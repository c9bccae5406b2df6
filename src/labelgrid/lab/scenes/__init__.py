"""Synthetic rooms with exact labels of every task: a data set that ships with the program."""
