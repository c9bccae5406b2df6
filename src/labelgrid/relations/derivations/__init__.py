"""The relations between tasks, one file each: derive a label from other labels of its image."""
