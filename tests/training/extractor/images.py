"""Images that training can learn from in seconds: two colors and a bar, another for each product."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def draw_image(product: int, view: int, side: int = 48) -> NDArray[np.uint8]:
    """Return an image (side, side, 3): a product's colors are the same in every view, light and place are not."""
    colors = np.random.default_rng(product).integers(40, 216, (3, 3))
    rng = np.random.default_rng((product, view))
    image = np.full((side, side, 3), colors[0], np.uint8)
    left, top = rng.integers(0, side // 3, 2).tolist()
    cv2.rectangle(image, (left, top), (left + side // 2, top + side // 2), colors[1].tolist(), -1)
    cv2.line(image, (left, top), (left + side // 2, top + side // 2), colors[2].tolist(), 4)
    return np.clip(image * rng.uniform(0.7, 1.3) + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def write_products(folder: Path, products: range, views: range) -> Path:
    """Write a folder a product, a PNG a view."""
    for product in products:
        place = folder / f"product {product}"
        place.mkdir(parents=True, exist_ok=True)
        for view in views:
            cv2.imwrite(str(place / f"{view}.png"), draw_image(product, view))
    return folder
