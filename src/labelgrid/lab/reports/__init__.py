"""The report of a study: the better arms, the differences, and the certainty."""
