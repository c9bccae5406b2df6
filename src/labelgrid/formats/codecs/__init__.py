"""The label formats, one file each: read a label file as an array with a mask, and write it."""
