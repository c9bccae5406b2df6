"""The Python interface: projects with their rounds, and studies."""
