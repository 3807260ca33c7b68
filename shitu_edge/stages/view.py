"""The view of a mounted camera: which part of an image counts, and how closely it is looked at."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, OptionError
from ..imaging.geometry import Boxes
from ..ranges import named, require_instance, require_number, require_whole, shown
from ..results import DropReason
from ..system.files import file_inside, read_json, write_aside
from .empty_counter import EmptyCounter

Zone: TypeAlias = Sequence[float] | Sequence[Sequence[float]]
"""A box `x1, y1, x2, y2` or at least 3 corners `(x, y)`, as shares of the image's width and height, 0..1."""
TileCount: TypeAlias = int | Literal["auto"]

SCHEMA_VERSION = 2
_READABLE = (1, 2)
"""Version 1 has no `empty`."""
AUTO_TILES = 6
MOST_TILES = 64
_MAX_BYTES = 1 << 16
_IMAGE_SUFFIX = ".empty.png"
_MARGIN = 0.1
"""Share of the region's sides that is looked at around it, so that an object on its edge is seen whole."""
_LEAST_SURFACE = 1e-7
"""Share of the image below which a zone counts as empty."""


@dataclass(frozen=True, slots=True)
class View:
    """The part of an image that counts, and how closely it is looked at. In shares, so it holds at any resolution.

    Attributes:
        region: the counter, a `Zone`; None for the whole image. Objects whose center lies outside are dropped. Only its
            bounding box and a tenth of its sides around it are looked at, so small objects get more pixels.
        ignore: zones; objects whose center lies in one are dropped.
        min_size, max_size: smallest and largest object, 0..1: the longer side of its box as a share of the longer side
            of the region's bounding box, or of the image without a region. None for any.
        tiles: number of overlapping parts, 1..64, to look at besides the whole; each costs a run of the detector. 1 for
            the whole alone; `auto` for 6 if most objects are small.
        empty: what the camera sees when nothing lies on the counter; boxes that show just that are dropped. None to
            compare with nothing.
    """

    region: Zone | None = None
    ignore: Sequence[Zone] = ()
    min_size: float | None = None
    max_size: float | None = None
    tiles: TileCount = 1
    empty: EmptyCounter | None = None

    def __post_init__(self) -> None:
        """Check the values, and store each zone as its corners; raises `OptionError`."""
        if self.region is not None:
            object.__setattr__(self, "region", _corners("region", self.region))
        if isinstance(self.ignore, str) or not isinstance(self.ignore, Sequence):
            raise OptionError(f"ignore: expected a list of zones, found {shown(self.ignore)}")
        object.__setattr__(self, "ignore", tuple(_corners("ignore", zone) for zone in self.ignore))
        for name in ("min_size", "max_size"):
            if getattr(self, name) is not None:
                require_number(name, getattr(self, name), 0, 1)
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise OptionError(f"min_size: expected at most max_size, {self.max_size}, found {self.min_size}")
        if self.tiles != "auto":
            require_whole("tiles", self.tiles, 1, MOST_TILES)
        require_instance("empty", self.empty, (EmptyCounter, type(None)), "an EmptyCounter")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> View:
        """Read a `camera.json` and the image that it names, which lies in the same folder.

        Raises:
            OptionError: it is missing or not a view, or so is the image.
        """
        try:
            stored = read_json(path, _MAX_BYTES)
            version = stored.pop("schema_version", None) if isinstance(stored, dict) else None
            if version not in _READABLE or isinstance(version, (bool, float)):
                raise ValueError(f"expected schema_version {SCHEMA_VERSION} or older, found {shown(version)}")
            known = [field.name for field in fields(cls)]
            for key in stored:
                if key not in known:
                    raise ValueError(f"{named(key)}: unknown; expected {', '.join(known)}")
            if stored.get("empty") is not None:
                stored["empty"] = _read_empty(Path(path).parent, stored["empty"])
            return cls(**stored)
        except OSError as error:
            raise OptionError(f"{path}: {error.strerror}") from error
        except (ValueError, OptionError, ImageError) as error:
            raise OptionError(f"{path}: is not a camera file: {error}") from error

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, atomically, after the image of the empty counter next to it; raises `OSError`.

        That of `camera.json` is `camera.empty.png`.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.empty is not None:
            image = Path(path).with_suffix(_IMAGE_SUFFIX)
            write_aside(image, self.empty.png())
            values["empty"] = image.name
        content = json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=2)
        write_aside(Path(path), f"{content}\n".encode())

    @property
    def zoom(self) -> float:
        """How much larger objects are seen than in one look at the whole image, at most."""
        low, high = self._bounds()
        return math.sqrt(AUTO_TILES if self.tiles == "auto" else self.tiles) / float((high - low).min())

    def area(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the part of an image that is looked at, `x1, y1, x2, y2` in whole pixels."""
        low, high = self._bounds()
        margin = _MARGIN * (high - low)
        x1, y1 = np.maximum(low - margin, 0) * (width, height)
        x2, y2 = np.minimum(high + margin, 1) * (width, height)
        return int(x1), int(y1), math.ceil(x2), math.ceil(y2)

    def drops(self, boxes_xyxy: Boxes, height: int, width: int) -> dict[DropReason, NDArray[np.bool_]]:
        """Return which boxes (N, 4) in pixels of an image do not count, each by its first reason."""
        centers = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / np.array([2 * width, 2 * height], np.float64)
        sizes = self.sizes(boxes_xyxy, height, width)
        counts = np.ones(len(boxes_xyxy), bool)
        found: dict[DropReason, NDArray[np.bool_]] = {
            "outside": counts if self.region is None else _inside(centers, self.region),
            "ignored": ~np.any([np.zeros_like(counts), *(_inside(centers, zone) for zone in self.ignore)], axis=0),
            "too_small": sizes >= (self.min_size or 0),
            "too_large": sizes <= (math.inf if self.max_size is None else self.max_size),
        }
        for reason, fits in found.items():
            found[reason], counts = counts & ~fits, counts & fits
        return {reason: where for reason, where in found.items() if where.any()}

    def sizes(self, boxes_xyxy: Boxes, height: int, width: int) -> NDArray[np.float64]:
        """Return the sizes (N,) of boxes (N, 4) in pixels of an image, as `min_size` and `max_size` measure them."""
        low, high = self._bounds()
        sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        sizes: NDArray[np.float64] = sides.max(axis=1) / ((high - low) * (width, height)).max()
        return sizes

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the region's least and greatest (x, y)."""
        corners = np.array(((0, 0), (1, 1)) if self.region is None else self.region, np.float64)
        return corners.min(axis=0), corners.max(axis=0)


WHOLE_IMAGE = View()


def _read_empty(folder: Path, name: Any) -> EmptyCounter:
    """Read the image of the empty counter; raises `ImageError` and `OptionError`."""
    image = file_inside(folder, name) if isinstance(name, str) else None
    if image is None:
        raise OptionError(f"empty: expected the name of an image in the same folder, found {shown(name)}")
    return EmptyCounter.of(image)


def _corners(name: str, zone: Any) -> tuple[tuple[float, float], ...]:
    """Return a zone's corners; raises `OptionError` with the option's name."""
    try:
        given = np.array(zone)
    except (TypeError, ValueError, OverflowError):
        given = np.array(None)
    corners = given.astype(np.float64) if given.dtype.kind in "iuf" else np.zeros(0)
    if corners.shape == (4,) and (corners[:2] < corners[2:]).all():
        x1, y1, x2, y2 = corners
        corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    fits = corners.ndim == 2 and corners.shape[1] == 2 and len(corners) >= 3
    if not fits or not ((corners >= 0) & (corners <= 1)).all() or _surface(corners) < _LEAST_SURFACE:
        raise OptionError(
            f"{name}: expected a box x1, y1, x2, y2 or at least 3 corners (x, y) around an area, as shares from 0 to 1 "
            f"of the image, found {shown(zone)}"
        )
    return tuple((x, y) for x, y in corners.tolist())


def _surface(corners: NDArray[np.float64]) -> float:
    """Return the area of a polygon (N, 2)."""
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _inside(points: NDArray[np.float64], zone: Any) -> NDArray[np.bool_]:
    """Return which points (N, 2) lie in a polygon: a ray to the right crosses its edges an odd number of times."""
    inside = np.zeros(len(points), bool)
    corners = np.array(zone)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            spans = (y1 > points[:, 1]) != (y2 > points[:, 1])
            inside ^= spans & (points[:, 0] < x1 + (points[:, 1] - y1) * (x2 - x1) / (y2 - y1))
    return inside
