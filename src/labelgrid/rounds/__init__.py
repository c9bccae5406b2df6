"""Runs the steps of a round: fit, score, query, evaluate, predict, previews."""
