"""`python -m shitu_edge`."""

from .cli import main

main()
