"""`shitu-edge`: the commands put together, and errors turned into one line and an exit code."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from .. import __version__
from ..errors import ShituError, reason_of
from ..system.streams import close_stdout, open_streams
from . import bench, demo, doctor, evaluate, gallery, models, recognize
from .printing import print_line, print_message, run, set_up_messages

app = typer.Typer(
    name="shitu-edge",
    help="Say which products a photo shows, from a gallery that needs one photo a product.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.command("recognize")(recognize.recognize)
app.add_typer(gallery.app, name="gallery")
app.command("evaluate")(evaluate.evaluate_gallery)
app.add_typer(models.app, name="models")
app.add_typer(bench.app, name="bench")
app.command("tune")(bench.tune_here)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_line(f"shitu-edge {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Carry the options that stand before a command."""


def main() -> None:
    """Run the command line."""
    open_streams()
    set_up_messages()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with an image is an error, or not worth a word
    try:
        try:
            sys.exit(run(app))
        finally:
            close_stdout()
    except BrokenPipeError:  # who read the output has seen enough
        sys.exit(1)
    except (ShituError, OSError) as error:  # of the system's errors those about files that we write
        print_message(f"error: {reason_of(error)}")
        sys.exit(1)
    except KeyboardInterrupt:
        print_message("interrupted")
        sys.exit(130)
