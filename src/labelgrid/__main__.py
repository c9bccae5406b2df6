"""`python -m labelgrid` is the command line."""

from labelgrid.cli import main

main()
