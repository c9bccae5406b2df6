"""The images of a project: files, cameras, unusable images and held-out images."""
