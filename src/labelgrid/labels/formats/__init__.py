"""One file a label format: a label file to an array with its validity, and back."""
