"""A command's options from a dataclass: names, types, defaults and limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from shitu_edge_export.command import options_of
from typer.testing import CliRunner


@dataclass(frozen=True, slots=True)
class Baking:
    """Options of an oven."""

    out: Annotated[Path, typer.Option(help="Tray to use.")]
    cakes: Annotated[tuple[Path, ...], typer.Option("--cake", help="What to bake.")] = ()
    heat: Annotated[int | None, typer.Option(min=50, max=250, help="Degrees.")] = None
    air: Annotated[Literal["still", "moving"], typer.Option(help="Its air.")] = "still"
    light: Annotated[bool, typer.Option("--light", help="Whether to look.")] = False
    door: str = "shut"


app = typer.Typer(rich_markup_mode=None)
seen: list[object] = []


@app.command()
@options_of(Baking)
def bake(oven: Annotated[str, typer.Argument(metavar="OVEN")], **given: Any) -> None:
    """Bake."""
    seen.append((oven, Baking(**given)))


@app.command()
@options_of(Baking, "heat")
def warm(**given: Any) -> None:
    """Warm."""
    seen.append(given)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.output


def test_options_of_fills_the_dataclass() -> None:
    assert run("bake", "big", "--out", "tray")[0] == 0
    assert seen.pop() == ("big", Baking(Path("tray")))
    several = ("--cake", "a", "--cake", "b", "--heat", "180", "--air", "moving", "--light")
    assert run("bake", "big", "--out", "tray", *several)[0] == 0
    assert seen.pop() == ("big", Baking(Path("tray"), (Path("a"), Path("b")), 180, "moving", True))


def test_options_of_takes_the_fields_that_are_named() -> None:
    assert run("warm", "--heat", "60")[0] == 0
    assert seen.pop() == {"heat": 60}
    assert run("warm", "--air", "moving")[0] == 2


@pytest.mark.parametrize("wrong", [("--heat", "300"), ("--air", "hot"), ("--door", "open"), ("--light", "--out")])
def test_options_of_keeps_limits(wrong: tuple[str, ...]) -> None:
    assert run("bake", "big", "--out", "tray", *wrong)[0] == 2
    assert run("bake", "big")[0] == 2


def test_options_of_shows_help_and_defaults() -> None:
    shown = run("bake", "--help")[1]
    assert all(words in shown for words in ("Bake.", "OVEN", "--cake", "Degrees.", "50<=x<=250", "[default: still]"))
    assert "--door" not in shown
