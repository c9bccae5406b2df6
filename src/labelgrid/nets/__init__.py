"""Defines networks, one file each, with the methods encode, decode and predict."""
