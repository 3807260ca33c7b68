"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ExportError


@contextmanager
def appearing(out: Path, marker: str | None = None) -> Iterator[Path]:
    """Yield a folder beside `out` to fill; it becomes `out` when the block ends well, and is removed when it does not.

    Args:
        out: may exist if it is empty, or an earlier result, which is replaced.
        marker: name of a file that earlier results hold; None if they are not to be replaced.

    Raises:
        ExportError: something else is at `out`, or its parent cannot be written.
    """
    out = Path(os.path.abspath(out))
    _require_free(out, marker)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise ExportError(f"{out.parent}: cannot be written: {error.strerror}") from error
    try:
        folder = Path(scratch, "new")
        folder.mkdir()
        yield folder
        _require_free(out, marker)  # somebody may have come in between
        old = Path(scratch, "old")
        if out.exists():
            os.replace(out, old)
        try:
            os.replace(folder, out)
        except OSError:
            with suppress(OSError):
                os.replace(old, out)
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_free(out: Path, marker: str | None) -> None:
    empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not empty and not (marker and (out / marker).is_file()):
        hint = f", and is not an earlier result: it has no {marker}" if marker else ""
        raise ExportError(f"{out} is in the way{hint}; name another folder")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder for intermediate files."""
    with tempfile.TemporaryDirectory(prefix="shitu-edge-export-") as folder:
        yield Path(folder)
