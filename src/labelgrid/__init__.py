"""labelgrid: which cells of the images × tasks grid to label next, and how to learn from a grid with gaps."""

__version__ = "0.1.0"
