"""Draws photos of blocks on a noisy ground, as a YOLO folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 96, 64


def draw_folder(folder: Path, count: int) -> Path:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        random = np.random.default_rng(index)
        pixels = random.integers(90, 130, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        lines = []
        for left in (4, 52)[: 1 + index % 2]:
            x, y = left + int(random.integers(0, 10)), int(random.integers(4, 16))
            w, h = int(random.integers(16, 30)), int(random.integers(20, 44))
            pixels[y : y + h, x : x + w] = random.choice([0, 255], 3)
            lines.append(f"0 {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}\n")
        cv2.imwrite(str(folder / "images" / f"{index:02}.png"), pixels)
        (folder / "labels" / f"{index:02}.txt").write_text("".join(lines), "utf-8")
    return folder
