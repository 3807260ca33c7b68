"""A bundle's cohort: embeddings of foreign products, by which a gallery with few products is calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge import Recognizer
from shitu_edge.bundle import MANIFEST, Bundle, Manifest, NetworkFile, write_manifest
from shitu_edge.errors import ImageError

from .errors import ExportError
from .images import image_files, spread
from .progress import Progress

COHORT = "cohort.npy"
FEWEST, MOST = 50, 512
_MOST_IMAGES = 2000
_SAME_PRODUCT = 0.8
"""Cosine from which two crops count as one product. A product that is often in the images would stand for many."""
_SMALL_GALLERY, _DRAWS = 12, 100

Rows = NDArray[np.float32]


def add_cohort(folder: Path, images: Sequence[Path], progress: Progress) -> Bundle:
    """Give a bundle a cohort: what its detector finds in images, embedded, at most 512 products that differ.

    Another bundle with the same extractor, named in place of images, hands on its own: the detector alone may then
    change, and thresholds stay. The policy's similarity threshold, for galleries that cannot be calibrated, becomes the
    cosine that 1 % of these products reach to a dozen others.

    Args:
        folder: of the bundle, whose manifest is written again.
        images: folders of photos of products of other shops, or a bundle.
        progress: for the user.

    Raises:
        ExportError: the images show fewer than 50 products, or the bundle has no cohort that serves here.
        BundleError: the bundle is damaged.
    """
    manifest = Bundle.open(folder).manifest
    if any((place / MANIFEST).is_file() for place in images):
        rows = _handed_on(images, manifest)
    else:
        rows = distinct(_found(folder, spread(image_files(images), _MOST_IMAGES), progress))
    if len(rows) < FEWEST:
        raise ExportError(f"a cohort needs {FEWEST} products that differ, found {len(rows)}: name further images")
    rows = np.stack(spread(list(rows), MOST))
    np.save(folder / COHORT, rows.astype(np.float16), allow_pickle=False)
    extractor = replace(manifest.extractor, cohort=NetworkFile(COHORT, ""))
    policy = replace(manifest.policy, similarity_threshold=round(usual_similarity(rows), 3))
    return write_manifest(folder, replace(manifest, extractor=extractor, policy=policy))


def distinct(rows: Rows) -> Rows:
    """Return those unit rows (N, D) that resemble no earlier one by a cosine of 0.8 or more."""
    kept: list[Rows] = []
    for row in rows:
        if not kept or (np.stack(kept) @ row).max() < _SAME_PRODUCT:
            kept.append(row)
    return np.array(kept, np.float32).reshape(-1, rows.shape[1])


def usual_similarity(rows: Rows) -> float:
    """Return the cosine that 1 % of the products (C, D) reach to a dozen others; a mean of 100 random dozens."""
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(_DRAWS):
        order = rng.permutation(len(rows))
        nearest = (rows[order[_SMALL_GALLERY:]] @ rows[order[:_SMALL_GALLERY]].T).max(axis=1)
        reached.append(np.quantile(nearest, 0.99))
    return float(np.mean(reached))


def _handed_on(places: Sequence[Path], manifest: Manifest) -> Rows:
    """Return the cohort of the one bundle that was named; it must come from the same extractor."""
    if len(places) > 1:
        raise ExportError("--cohort: expected one bundle, or folders of images")
    other = Bundle.open(places[0])
    if other.manifest.extractor.fingerprint != manifest.extractor.fingerprint:
        raise ExportError(f"{places[0]}: its cohort comes from another extractor; name images instead")
    if other.manifest.extractor.cohort is None:
        raise ExportError(f"{places[0]}: has no cohort; name images instead")
    return other.cohort()


def _found(folder: Path, paths: Sequence[Path], progress: Progress) -> Rows:
    with Recognizer.open(folder) as recognizer, progress.step(f"Cohort: products of {len(paths)} images"):
        rows = [np.zeros((0, recognizer.bundle.manifest.extractor.dim), np.float32)]
        for path in paths:
            try:
                boxes = recognizer.detect(path).boxes_xyxy
                if len(boxes):
                    rows.append(recognizer.embed(path, boxes))
            except ImageError:
                continue
    return np.concatenate(rows)
