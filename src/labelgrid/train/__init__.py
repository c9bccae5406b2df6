"""Trains networks: the loop, the objective, terms and balancers."""
