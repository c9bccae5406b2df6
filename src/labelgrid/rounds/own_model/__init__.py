"""Predictions of a network outside the program, in place of a training."""
