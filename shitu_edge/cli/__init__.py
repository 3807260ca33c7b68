"""The command line: one module a command group; each parses, makes one call, prints and sets the exit code."""

from .main import main

__all__ = ["main"]
