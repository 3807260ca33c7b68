"""`shitu-edge`: all commands, and errors as one line and an exit code."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from .. import __version__
from ..errors import FingerprintError, ShituError, reason_of
from ..system.streams import close_stdout, open_streams
from .command import CONTEXT, Quiet, Verbose
from .printing import be_usual, print_line, print_message, run, set_up_messages
from .program import Program

app = typer.Typer(
    cls=Program,
    name="shitu-edge",
    help="Recognize products in images, from a gallery with one photo or more per product.\n\n"
    "GALLERY comes first in every command that needs one; set $SHITU_EDGE_GALLERY to leave it out.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=CONTEXT,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"shitu-edge {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Take the options before a command."""


def _hint(error: Exception) -> str:
    """Return the name of the bundle that a gallery was made with, if it is installed here."""
    if not isinstance(error, FingerprintError) or not error.expected:
        return ""
    from .models import bundle_of

    name = bundle_of(error.expected)
    return f"; that bundle is here: --models {name}" if name else ""


def main() -> None:
    """Run the command line."""
    open_streams()
    set_up_messages()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # a fault of an image is an error, or harmless
    try:
        try:
            sys.exit(run(app))
        finally:
            be_usual()
            close_stdout()
    except BrokenPipeError:  # `shitu-edge ... | head`
        sys.exit(1)
    except (ShituError, OSError) as error:  # OSErrors are about files being written
        print_message(f"error: {reason_of(error)}{_hint(error)}")
        sys.exit(1)
    except KeyboardInterrupt:
        print_message("interrupted")
        sys.exit(130)
