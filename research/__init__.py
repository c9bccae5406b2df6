"""Studies and analyses behind docs/results."""
