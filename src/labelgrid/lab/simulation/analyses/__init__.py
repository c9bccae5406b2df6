"""Analyses of finished studies, a file each, with the help of hidden labels."""
