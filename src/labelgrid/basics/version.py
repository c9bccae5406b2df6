"""The version of labelgrid."""

__version__ = "0.1.0"
