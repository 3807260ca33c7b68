"""Folders that come with shitu-edge: inside the installed package, or next to it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def _folder(packaged: str, in_checkout: str) -> Path:
    """Return the folder that the wheel carries as `packaged` (see `pyproject.toml`)."""
    folder = _PACKAGE / packaged
    return folder if folder.is_dir() else _PACKAGE.parent / in_checkout


BUNDLES = _folder("bundles", "models")
"""One folder per model bundle."""
SAMPLES = _folder("samples", "examples/samples")
"""Products and scenes of `shitu-edge demo`."""
