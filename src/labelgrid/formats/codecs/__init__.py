"""The label formats: each module reads a label file as an array with a mask, and writes it back."""
