"""Images with boxes on disk: `images/NAME.jpg` beside `labels/NAME.txt`, a line `0 cx cy w h` a box, relative."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def write_image(out: Path, name: str, pixels_rgb: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32]) -> None:
    """Write an image (H, W, 3) uint8 RGB and its boxes (N, 4), in pixels."""
    height, width = pixels_rgb.shape[:2]
    image, labels = out / "images" / f"{name}.jpg", out / "labels" / f"{name}.txt"
    image.parent.mkdir(parents=True, exist_ok=True)
    labels.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(image), np.ascontiguousarray(pixels_rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise OSError(f"cannot write {image}")
    labels.write_text(label_lines(boxes_xyxy, width, height), encoding="utf-8")


def label_lines(boxes_xyxy: NDArray[np.float32], width: int, height: int) -> str:
    """Return the content of a label file."""
    return "".join(
        f"0 {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} {(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
        for x0, y0, x1, y1 in boxes_xyxy.tolist()
    )
