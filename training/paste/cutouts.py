"""Single objects cut out of photos taken on a plain, light board and of catalog images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shitu_edge.imaging.geometry import Pixels

from ..detector.photos import read_rgb
from ..progress import Progress
from .masks import (
    CONVEX,
    Mask,
    Plane,
    color_distance,
    convexity,
    fault,
    find_object,
    find_on_white,
    outline_of,
    touched_sides,
)

FOLDERS = ("glass", "metal", "plastic", "trash")
"""Those of TrashNet that show products. Its `cardboard` and `paper` are mostly surfaces that fill the image."""

SEE_THROUGH = ("glass", "plastic")

COLORLESS = 12.0
"""Distance in CIELAB at which glass shows a color of its own rather than the board."""

BOARD = 230.0
"""Level of white that every cut-out's board is scaled to, so that all have the same light."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """One object without its background.

    Attributes:
        pixels_rgb: (H, W, 3) uint8, cropped to the object, in the light of a white board of level `BOARD`.
        alpha: (H, W) float32 in 0..1, soft at the edge.
        clear: (H, W) float32 in 0..1, how much of what lies behind shows through.
        upright_deg: turn it by this, counter-clockwise, to make it stand.
        is_cut: the photo ended at its lower side, and the object goes on.
    """

    pixels_rgb: Pixels
    alpha: Plane
    clear: Plane
    upright_deg: float
    is_cut: bool


def load_photographed(shared: Path, progress: Progress) -> list[Cutout]:
    """Cut out the objects of TrashNet below `shared`, leaving out bad masks."""
    photos = [photo for name in FOLDERS for photo in sorted((shared / "data/trashnet" / name).glob("*.jpg"))]
    cutouts = []
    for done, photo in enumerate(photos, 1):
        cutout = cut_out(read_rgb(photo), see_through=photo.parent.name in SEE_THROUGH)
        if cutout is not None:
            cutouts.append(cutout)
        progress(done, len(photos))
    return cutouts


def load_catalog(shared: Path) -> list[Cutout]:
    """Cut out the products of the grocery catalog images below `shared`."""
    images = sorted((shared / "data/grocery/images/iconic").rglob("*.jpg"))
    cutouts = [cut_out_of_catalog(read_rgb(file), is_package="Packages" in file.parts) for file in images]
    return [cutout for cutout in cutouts if cutout is not None]


def cut_out(photo_rgb: Pixels, see_through: bool = False) -> Cutout | None:
    """Cut the one object out of a photo (H, W, 3) uint8 RGB; None where its outline is not to be trusted."""
    mask = find_object(photo_rgb)
    if mask is None or fault(photo_rgb, mask):
        return None
    sides = touched_sides(mask.inside)
    quarters = sides[0] if sides else 0
    inside, board = np.rot90(mask.inside, quarters).copy(), np.rot90(mask.board_rgb, quarters)
    return _cutout(np.rot90(photo_rgb, quarters), Mask(inside, board), see_through, _upright(inside), bool(sides))


def cut_out_of_catalog(image_rgb: Pixels, is_package: bool) -> Cutout | None:
    """Cut out of a catalog image (H, W, 3) uint8 RGB; None for several objects, which have no convex outline."""
    mask = find_on_white(image_rgb, convex=is_package)
    if mask is None or convexity(mask.inside) < CONVEX:
        return None
    return _cutout(image_rgb, mask, see_through=False, upright_deg=0.0, is_cut=False)


def _upright(inside: Pixels) -> float:
    """Return the turn, counter-clockwise in degrees, that stands the long side of the closest rectangle up."""
    _, (width, height), angle = cv2.minAreaRect(outline_of(inside))
    return float(angle if width < height else angle - 90)


def _cutout(photo_rgb: Pixels, mask: Mask, see_through: bool, upright_deg: float, is_cut: bool) -> Cutout:
    inside = mask.inside
    # One pixel inwards: the outermost pixels are a mixture with the board. An edge that is cut stays sharp.
    grown = cv2.copyMakeBorder(inside, 4, 4, 4, 4, cv2.BORDER_REPLICATE)
    alpha = (
        cv2.GaussianBlur(cv2.erode(grown, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 0.8)[4:-4, 4:-4]
        * inside
    )
    lit = np.clip(photo_rgb / np.maximum(mask.board_rgb, 1) * BOARD, 0, 255).astype(np.uint8)
    clear = np.zeros_like(alpha)
    if see_through:
        distance = cv2.GaussianBlur(color_distance(photo_rgb, mask.board_rgb), (0, 0), 1.5)
        clear = 0.75 * np.exp(-((distance / COLORLESS) ** 2))
    x, y, width, height = cv2.boundingRect(inside)
    part = np.s_[y : y + height, x : x + width]
    return Cutout(lit[part], alpha[part], clear[part].astype(np.float32), upright_deg, is_cut)
