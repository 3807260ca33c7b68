"""`shitu-edge gallery`: one module per kind of command.

enroll.py     from images: build, add, replace
change.py     without images: remove, rename, relabel, look-alikes
look.py       list, info, search
history.py    log, diff, rollback, prune
care.py       reindex, verify, repair, audit
re_embed.py   re-embed
move.py       copy, patch, apply, merge, export, import, import-paddleclas, push
outcome.py    the result of a change, as a line or as JSON
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from ..command import GalleryCommand, command
from . import care, change, enroll, history, look, move, re_embed

app = typer.Typer(
    help="Build, change, inspect and transfer a gallery.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "build": enroll.build,
    "add": enroll.add,
    "replace": enroll.replace,
    "remove": change.remove,
    "rename": change.rename,
    "relabel": change.relabel,
    "look-alikes": change.list_look_alikes,
    "list": look.list_items,
    "info": look.info,
    "search": look.search,
    "log": history.log,
    "diff": history.diff,
    "rollback": history.rollback,
    "prune": history.prune,
    "reindex": care.reindex,
    "verify": care.verify,
    "repair": care.repair,
    "audit": care.audit,
    "re-embed": re_embed.re_embed_gallery,
    "copy": move.copy,
    "patch": move.patch,
    "apply": move.apply,
    "merge": move.merge,
    "export": move.export,
    "import": move.import_,
    "import-paddleclas": move.import_paddleclas,
    "push": move.push,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, cls=GalleryCommand)(command(_command))
