"""Options that several commands share, and how a run remembers its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer


class Share(NamedTuple):
    """A folder or pack, and its share of a batch relative to the others'."""

    path: Path
    weight: float = 1.0

    @classmethod
    def parse(cls, given: str) -> Share:
        """Read `PATH` or `PATH=SHARE`."""
        path, _, weight = given.partition("=")
        try:
            return cls(Path(path), float(weight or 1))
        except ValueError:
            raise typer.BadParameter(f"{given}: expected FOLDER or FOLDER=SHARE with a number") from None


Out = Annotated[Path, typer.Option(help="Folder to write; an interrupted run there continues.")]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate of AdamW; a cosine with warm-up.")]
EvalEvery = Annotated[int, typer.Option(min=1, help="Steps between measurements; each writes the checkpoint.")]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="PyTorch's")]


def shares(help: str) -> typer.models.OptionInfo:
    """Return an option that may be given several times, each time a `Share`."""
    option: typer.models.OptionInfo = typer.Option(metavar="PACK[=SHARE]", parser=Share.parse, help=help)
    return option


def facts_of(options: Any, *left_out: str) -> dict[str, Any]:
    """Return a dataclass of options as JSON, without those that do not decide what a run computes."""
    facts = json.loads(json.dumps(asdict(options), default=str))
    return {name: value for name, value in facts.items() if name not in left_out}
