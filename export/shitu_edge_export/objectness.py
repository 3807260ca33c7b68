"""A bundle's objectness network: trained elsewhere, checked and copied in here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from shitu_edge.bundle import Bundle, NetworkFile, write_manifest
from shitu_edge.bundle.objectness import parse_objectness
from shitu_edge.errors import BundleError, os_errors_as

from .errors import ExportError

OBJECTNESS = "objectness.npy"


def add_objectness(folder: Path, weights: Path) -> Bundle:
    """Give a bundle an objectness network.

    Args:
        folder: of the bundle, whose manifest is written again.
        weights: a NumPy file, see `shitu_edge.bundle.objectness`.

    Raises:
        BundleError: the bundle is damaged, or the weights are none for its extractor.
        ExportError: the file cannot be read.
    """
    manifest = Bundle.open(folder).manifest
    with os_errors_as(ExportError, weights):
        content = weights.read_bytes()
    parse_objectness(content, manifest.extractor.dim, str(weights))
    with os_errors_as(BundleError, folder):
        (folder / OBJECTNESS).write_bytes(content)
    extractor = replace(manifest.extractor, objectness=NetworkFile(OBJECTNESS, ""))
    return write_manifest(folder, replace(manifest, extractor=extractor))
