"""The label formats, a file each: read a label file as an array with a mask, and write the file."""
