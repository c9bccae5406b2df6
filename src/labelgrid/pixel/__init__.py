"""Tensors of one task: targets, losses, uncertainties, metrics."""
