"""`python -m shitu_edge_export`."""

from .cli import main

main()
