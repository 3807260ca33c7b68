"""A bundle's objectness network: trained elsewhere, checked and copied in here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shitu_edge.bundle import Bundle, NetworkFile, write_manifest
from shitu_edge.bundle.objectness import parse_objectness
from shitu_edge.errors import BundleError, os_errors_as

from .errors import ExportError

OBJECTNESS = "objectness.npy"


def add_objectness(folder: Path, weights: Path, faint_threshold: float | None = None) -> Bundle:
    """Give a bundle an objectness network.

    Args:
        folder: of the bundle, whose manifest is written again.
        weights: a NumPy file, see `shitu_edge.bundle.objectness`.
        faint_threshold: score from which boxes below the bundle's own threshold are looked at too.

    Raises:
        BundleError: the bundle is damaged, or the weights do not fit its extractor.
        ExportError: the file cannot be read.
        OptionError: the threshold is not between 0 and the bundle's own.
    """
    manifest = Bundle.open(folder).manifest
    with os_errors_as(ExportError, weights):
        content = weights.read_bytes()
    parse_objectness(content, manifest.extractor.dim, str(weights))
    detector = replace(manifest.detector, faint_threshold=faint_threshold)
    with os_errors_as(BundleError, folder):
        (folder / OBJECTNESS).write_bytes(content)
    extractor = replace(manifest.extractor, objectness=NetworkFile(OBJECTNESS, ""))
    return write_manifest(folder, replace(manifest, detector=detector, extractor=extractor))
