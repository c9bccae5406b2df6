"""The report of a study: which arm is better, by how much, and how sure that is."""
