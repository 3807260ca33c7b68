"""Repairing a damaged gallery: all that is intact goes to a new file; the old one is kept."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import GalleryError, os_errors_as
from ...system.unfinished import replace, unfinished
from ..index import Progress
from ..live.graphs import GraphFiles
from ..store import Meta, Store
from ..store.connection import check_there, refuse_open
from ..store.rescue import Rescue, rescue


@dataclass(frozen=True, slots=True)
class Repair:
    """The result of a repair, and the new path of the damaged file."""

    rescue: Rescue
    damaged: Path


def repair(path: Path, meta: Meta | None = None, progress: Progress | None = None) -> Repair:
    """Replace a damaged gallery by one of all that is intact; the damaged file is kept as `<name>.damaged`.

    No process may have the gallery open. The index is deleted; `gallery.index.rebuild` builds it again.

    Args:
        path: the gallery.
        meta: the extractor, used if the file no longer says it.
        progress: called with the items read and their number.

    Raises:
        GalleryError: nothing can be read, or the folder cannot be written.
    """
    check_there(path)
    refuse_open(path)
    damaged = _free_name(path)
    with unfinished(path) as partial:
        found = rescue(path, partial, meta, progress)
        with os_errors_as(GalleryError, path, "cannot be replaced"):
            _put_in_place(partial, path, damaged)
    store = Store.open(path)
    try:
        GraphFiles(store).drop_stale()
    finally:
        store.close()
    return Repair(found, damaged)


def _put_in_place(partial: Path, path: Path, damaged: Path) -> None:
    """Rename the damaged gallery and then the new one, so that the path exists at every moment."""
    try:
        os.link(path, damaged)
    except (OSError, NotImplementedError):  # a file system without links
        shutil.copyfile(path, damaged)
    try:
        _move_log(path, damaged)
        replace(partial, path)
    except OSError:
        with suppress(OSError):
            _move_log(damaged, path)
        damaged.unlink()
        raise


def _move_log(source: Path, target: Path) -> None:
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.replace(f"{source}{suffix}", f"{target}{suffix}")


def _free_name(path: Path) -> Path:
    number, name = 1, path.with_name(f"{path.name}.damaged")
    while os.path.lexists(name):
        number += 1
        name = path.with_name(f"{path.name}.damaged-{number}")
    return name
