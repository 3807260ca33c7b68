"""The top level of the command line, which imports a command's module only when the command is called."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from .command import Command, GalleryCommand, command


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its module, the function or `typer.Typer` in it, its line in the help, and its class."""

    module: str
    name: str
    summary: str
    kind: type[Command] = Command


ENTRIES = {
    "demo": Entry("demo", "demo", "Recognize sample scenes and draw the results."),
    "recognize": Entry("recognize", "recognize", "Recognize the products in images.", GalleryCommand),
    "watch": Entry("watch", "watch", "Follow the products on a counter and print what happens.", GalleryCommand),
    "gallery": Entry("gallery", "app", "Build, change, inspect and transfer a gallery."),
    "evaluate": Entry("evaluate", "evaluate_gallery", "Measure how well a gallery recognizes.", GalleryCommand),
    "calibrate": Entry(
        "calibrate",
        "calibrate",
        "Say what a gallery's labels have to keep, and show from which score they do.",
        GalleryCommand,
    ),
    "camera": Entry("calibrate_camera", "app", "Set up the view of a mounted camera."),
    "serve": Entry("serve", "serve", "Recognize over HTTP: images in, JSON out."),
    "models": Entry("models", "app", "List, show and verify model bundles."),
    "bench": Entry("bench", "app", "Measure the speed of this machine."),
    "tune": Entry("bench", "tune_here", "Find the fastest settings for this machine."),
    "doctor": Entry("doctor", "doctor", "Check this machine and its engines."),
}


class Program(TyperGroup):
    """The group of all commands; its help and its version import none of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands: MutableMapping[str, Any] = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a line per command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in ENTRIES.items()])


class _Commands(MutableMapping[str, Any]):
    """The commands by name, each loaded when it is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, ENTRIES[name])
        return self._loaded[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._loaded[name] = value

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"{name} cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


def _load(name: str, entry: Entry) -> Any:
    found = getattr(import_module(f".{entry.module}", __package__), entry.name)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, cls=entry.kind)(command(found))
        found = app
    loaded = typer.main.get_command(found)
    loaded.name = name
    return loaded
