"""NumPy files for bundles of tests."""

from __future__ import annotations

import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from shitu_edge import Bundle
from shitu_edge.bundle import NetworkFile, write_manifest


def npy(array: object) -> bytes:
    """Return the content of a NumPy file."""
    content = BytesIO()
    np.save(content, np.asarray(array), allow_pickle=True)
    return content.getvalue()


def with_file(source: Path, target: Path, field: str, content: bytes) -> Path:
    """Copy a bundle and give its extractor the file of a field, such as `cohort`, with this content."""
    shutil.copytree(source, target)
    (target / f"{field}.npy").write_bytes(content)
    manifest = Bundle.open(target).manifest
    given: dict[str, Any] = {field: NetworkFile(f"{field}.npy", "")}
    extractor = replace(manifest.extractor, **given)
    write_manifest(target, replace(manifest, extractor=extractor))
    return target
