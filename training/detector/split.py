"""Held-out photos of a folder: a share of them; near-duplicates stay on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .photos import photo_names, read_rgb

_SMALL, _THUMBNAIL = 64, 16
_TURN = 5  # degrees
_SIMILAR = 0.94


def split_photos(folder: Path, fraction: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """Split a YOLO folder's photos into those to train with and those held out, by name.

    Groups of near-duplicates are taken in the order of a hash of their first name until the fraction is reached, so
    the split depends on the photos and the seed alone.

    Args:
        folder: holds `images/`.
        fraction: share to hold out, 0..1.
        seed: another one gives another split.
    """
    names = photo_names(folder)
    if fraction <= 0:
        return names, []
    groups = near_duplicates([read_rgb(folder / "images" / name) for name in names])
    groups.sort(key=lambda group: hashlib.sha256(f"{seed}/{names[group[0]]}".encode()).digest())
    held_out: set[str] = set()
    for group in groups:
        if len(held_out) + len(group) <= round(fraction * len(names)):
            held_out.update(names[index] for index in group)
    return [name for name in names if name not in held_out], sorted(held_out)


def near_duplicates(images_rgb: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
    """Group images whose middles correlate as gray thumbnails, also turned or mirrored; alone where none does.

    Returns:
        Every index once; groups and their indices in ascending order.
    """
    small = [_small_gray(image) for image in images_rgb]
    upright = _middles(small, 0)
    alike = np.eye(len(small), dtype=bool)
    for angle in range(0, 360, _TURN):
        turned = _middles(small, angle)
        for seen in (turned, turned[:, :, ::-1]):
            alike |= upright.reshape(len(small), -1) @ seen.reshape(len(small), -1).T > _SIMILAR
    alike |= alike.T
    group = np.arange(len(small))
    while True:
        joined = np.where(alike, group[None], len(group)).min(axis=1)
        if (joined == group).all():
            return [np.flatnonzero(group == first).tolist() for first in np.unique(group)]
        group = joined


def _small_gray(image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(image_rgb, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    return small.mean(axis=2, dtype=np.float32)


def _middles(images: Sequence[NDArray[np.float32]], angle: float) -> NDArray[np.float32]:
    """Return thumbnails (N, 16, 16) of mean 0 and norm 1, of the square that is in the image however it is turned."""
    turn = cv2.getRotationMatrix2D(((_SMALL - 1) / 2, (_SMALL - 1) / 2), angle, 1)
    edge = round(_SMALL * (1 - 0.5**0.5) / 2)
    inside = slice(edge, _SMALL - edge)
    turned = [cv2.warpAffine(image, turn, (_SMALL, _SMALL))[inside, inside] for image in images]
    size = (_THUMBNAIL, _THUMBNAIL)
    middles = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in turned])
    middles -= middles.mean(axis=(1, 2), keepdims=True)
    return middles / np.linalg.norm(middles, axis=(1, 2), keepdims=True).clip(1e-6)
