"""Photos to enroll: a plain one would be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def write_photo(path: Path) -> Path:
    """Write 64 × 64 pixels in two browns."""
    photo = Image.new("RGB", (64, 64), (90, 40, 20))
    photo.paste((120, 60, 40), (0, 0, 64, 32))
    photo.save(path)
    return path


def patches(seed: int, side: int = 200, cells: int = 25) -> NDArray[np.uint8]:
    """Return a picture (side, side, 3) of smooth patches of color, which local features tell apart."""
    colors = np.random.default_rng(seed).integers(0, 256, (cells, cells, 3), np.uint8)
    return np.asarray(Image.fromarray(colors).resize((side, side), Image.Resampling.BICUBIC))
