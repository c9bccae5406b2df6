"""Shows a project in a browser: its images, cells and rounds, and the JSON API behind the page."""
