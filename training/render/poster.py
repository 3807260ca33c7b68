"""Words and pictures in a photo that are no product: a poster behind it, an advertisement's own lines."""

from __future__ import annotations

import numpy as np

from shitu_edge.imaging.geometry import Pixels

from . import label
from .colors import from_hsv, ink_on
from .words import SCRIPTS, sentence, word
from .writing import FONTS


def write_poster(rng: np.random.Generator, canvas: Pixels) -> None:
    """Write one to four lines somewhere on a picture, uint8 RGB (H, W, 3), in place; now and then on a board."""
    height, width = canvas.shape[:2]
    script = str(rng.choice(["latin", "strokes", "other"], p=[0.4, 0.4, 0.2]))
    alphabet = SCRIPTS[str(rng.choice(list(SCRIPTS)))]
    wide, high = round(float(rng.uniform(0.2, 0.8)) * width), round(float(rng.uniform(0.05, 0.14)) * height)
    lines = int(rng.integers(1, 5))
    x, y = int(rng.integers(0, width - wide)), int(rng.integers(0, max(1, height - lines * high)))
    around = canvas[y : y + lines * high, x : x + wide]
    if rng.random() < 0.3:
        around[:] = from_hsv(float(rng.random()), float(rng.uniform(0, 0.8)), float(rng.uniform(0.2, 1)))
    red, green, blue = (int(part) for part in around.reshape(-1, 3).mean(0))
    ink = ink_on((red, green, blue), from_hsv(float(rng.random()), float(rng.random()), float(rng.uniform(0, 1))))
    font = str(rng.choice(FONTS))
    for line in range(lines):
        text = word(rng, script, alphabet, 2) if rng.random() < 0.6 else sentence(rng, script, 24)
        share = float(rng.uniform(0.5, 1.0))
        label.write(canvas, text, font, (x, y + line * high, round(share * wide), round(0.8 * high)), ink)
