"""Text in a font that has its letters."""

from __future__ import annotations

import logging
import math
import os
import sys
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from ..system.text import shown

_log = logging.getLogger(__name__)

_FONT_FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"),
}
_FONT_PACKAGE = "noto_cjk_sans_otc"
_PREFERRED = ("dejavusans.ttf", "notosans-regular", "arial.ttf", "segoeui.ttf", "helvetica")
_MOST_LETTERS = 200
_UNDRAWN = frozenset(" \u200c\u200d")
"""Space and joiners, which need no glyph."""
_NEVER_A_LETTER = "\U0010fffe"
"""Fonts draw it as a missing glyph."""


def readable(
    text: str, instead: str, size: int, width: float = math.inf
) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """Return a text and a font that has all its letters; without such a font, the text `instead`.

    The text is made safe by `shown`, and cut off at `width` pixels.
    """
    text = shown(text, _MOST_LETTERS)
    path = _font_for("".join(sorted(set(text) - _UNDRAWN)))
    if path is None:
        return instead, ImageFont.load_default(size)
    font = ImageFont.truetype(path, size)
    if font.getlength(text) > width:
        cuts = range(1, len(text))
        text = text[: bisect_right(cuts, width, key=lambda cut: font.getlength(f"{text[:cut]}…"))] + "…"
    return text, font


@lru_cache(maxsize=256)
def _font_for(letters: str) -> str | None:
    """Return the first font file with all letters."""
    for path in _font_files():
        if _has_letters(path, letters):
            return path
    _warn_of_missing_font()
    return None


@lru_cache(maxsize=1)
def _warn_of_missing_font() -> None:
    _log.warning(
        "no installed font has all letters of some labels, which are left out: pip install noto-cjk-sans-otc, "
        "or install a Noto font of their script"
    )


def _has_letters(path: str, letters: str) -> bool:
    try:
        font = ImageFont.truetype(path, 16)
        missing = bytes(font.getmask(_NEVER_A_LETTER))
        return all(bytes(font.getmask(letter)) != missing for letter in letters)
    except (OSError, ValueError):  # some font files cannot be scaled
        return False


@lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    """Return the font files of this machine: plain text fonts first, then by name."""
    files = sorted(
        _all_font_files(), key=lambda path: (not path.name.lower().startswith(_PREFERRED), path.name.lower())
    )
    return tuple(str(path) for path in files)


def _all_font_files() -> Iterator[Path]:
    folders = [Path(os.path.expanduser(folder)) for folder in _FONT_FOLDERS.get(sys.platform, ())]
    package = find_spec(_FONT_PACKAGE)
    if package and package.submodule_search_locations:
        folders += map(Path, package.submodule_search_locations)
    for folder in folders:
        if folder.is_dir():
            yield from (path for path in folder.rglob("*") if path.suffix.lower() in (".ttf", ".otf", ".ttc"))
