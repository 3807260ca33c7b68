"""`python -m training`."""

from .cli import main

main()
