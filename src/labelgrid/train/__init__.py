"""The training loop, its objective, terms and balancers."""
