"""Images and labels as batches: one file a source."""
