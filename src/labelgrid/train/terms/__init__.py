"""One file a term added to the supervised loss."""
