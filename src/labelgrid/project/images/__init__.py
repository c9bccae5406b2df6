"""The images of a project: their files and cameras, those set aside and those held out."""
