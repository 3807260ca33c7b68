"""Samples on disk, by what they were derived from, so that a restart or a copy of a gallery finds them."""

from __future__ import annotations

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..system.files import read_bounded, write_aside
from .samples import KnownScores, Samples, UnknownScores

_MOST_BYTES = 1 << 20
_MOST_FILES = 64


def read_samples(folder: Path, name: str, most: int) -> Samples | None:
    """Return what was written under a name; None if it is missing, damaged, or has over `most` scores of a kind."""
    try:
        content = read_bounded(folder / f"{name}.npz", _MOST_BYTES)
        with np.load(BytesIO(content), allow_pickle=False) as found:
            unknown = UnknownScores(found["unknown"], found["unknown_products"])
            known = KnownScores(found["known"], found["right"], found["known_products"])
            samples = Samples(unknown, known, UnknownScores(found["impostors"], found["claimants"]), found["foreign"])
    except Exception:  # missing, or damaged in any way: it is derived again
        return None
    sound = all(_fits(one.scores, one.products, most) for one in (samples.unknown, samples.known, samples.impostors))
    right = samples.known.right
    sound = sound and right.dtype == np.bool_ and right.shape == samples.known.scores.shape
    return samples if sound and _is_finite(samples.foreign, most) else None


def write_samples(folder: Path, name: str, samples: Samples) -> None:
    """Write samples under a name and forget the oldest ones; a folder that cannot be written is left alone."""
    content = BytesIO()
    np.savez(
        content,
        unknown=samples.unknown.scores,
        unknown_products=samples.unknown.products,
        known=samples.known.scores,
        right=samples.known.right,
        known_products=samples.known.products,
        impostors=samples.impostors.scores,
        claimants=samples.impostors.products,
        foreign=samples.foreign,
    )
    with suppress(OSError):  # a cache that cannot be written costs time at the next start
        folder.mkdir(parents=True, exist_ok=True)
        write_aside(folder / f"{name}.npz", content.getvalue())
        files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime)
        for file in files[:-_MOST_FILES]:
            file.unlink(missing_ok=True)


def _fits(scores: NDArray[np.float64], products: NDArray[np.int64], most: int) -> bool:
    return _is_finite(scores, most) and products.dtype == np.int64 and products.shape == scores.shape


def _is_finite(scores: NDArray[np.float64], most: int) -> bool:
    one_row = scores.dtype == np.float64 and scores.ndim == 1 and len(scores) <= most
    return one_row and bool(np.isfinite(scores).all())
