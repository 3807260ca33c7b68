"""`python -m training.paddle extractor|detector PARCEL --out FOLDER`: see `hand_over`; and back: `take_back`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from shitu_edge.errors import ShituError

from .hand_over import Report, hand_over_detector, hand_over_extractor
from .parcel import Network
from .take_back import take_back

app = typer.Typer(help="Hand trained weights to Paddle.", pretty_exceptions_enable=False, rich_markup_mode=None)
Parcel = Annotated[Path, typer.Argument(metavar="PARCEL", help="Folder of `python -m training export-weights`.")]
Out = Annotated[Path, typer.Option(help="Folder for the Paddle inference model.")]


@app.command()
def extractor(parcel: Parcel, out: Out) -> None:
    """Make a Paddle inference model of an extractor, with PaddleClas' definitions."""
    _print(hand_over_extractor(parcel, out))


@app.command()
def detector(parcel: Parcel, out: Out) -> None:
    """Make a Paddle inference model of a detector, with PaddleDetection's definitions."""
    _print(hand_over_detector(parcel, out))


@app.command("take-back")
def take_back_weights(
    kind: Annotated[Network, typer.Argument(help="Kind of network.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model that the commands above made.")],
    out: Annotated[Path, typer.Option(help="Folder for `python -m training import-weights`.")],
) -> None:
    """Read the weights of such a Paddle inference model, to go on training them."""
    take_back(kind.value, model, out)


def _print(report: Report) -> None:
    print(json.dumps(report, indent=2))


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 wrong usage."""
    try:
        app()
    except (ShituError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
