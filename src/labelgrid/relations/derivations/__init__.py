"""The relations between tasks, a file each: derive a label from other labels of an image."""
