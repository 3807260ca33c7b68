"""A YOLO folder of drawn photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from .drawn import draw_folder


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Eight photos of 96 × 64 pixels with one or two blocks each, and their boxes."""
    return draw_folder(tmp_path / "drawn", count=8)
