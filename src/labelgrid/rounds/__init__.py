"""What a round does: fit, score, query, evaluate, predict, previews."""
