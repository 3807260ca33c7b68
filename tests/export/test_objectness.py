"""Giving a bundle its objectness network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from shitu_edge_export.errors import ExportError
from shitu_edge_export.objectness import OBJECTNESS, add_objectness

from shitu_edge import Bundle, BundleError
from tests.bundle.files import npy
from tests.bundle.test_objectness import ROWS


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def test_weights_are_copied_in_and_listed(bundle: Path, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float16)
    (tmp_path / "made.npy").write_bytes(npy(weights))
    files = Bundle.open(bundle).verify()
    made = add_objectness(bundle, tmp_path / "made.npy")
    assert made.verify() == files + 1
    found = Bundle.open(bundle).objectness()
    assert found is not None
    assert (found == weights).all()


def test_weights_of_another_size_and_missing_ones_change_nothing(bundle: Path, tmp_path: Path) -> None:
    before = (bundle / "bundle.json").read_bytes()
    (tmp_path / "other.npy").write_bytes(npy(np.zeros((ROWS + 1, 4), np.float32)))
    with pytest.raises(BundleError, match=rf"other\.npy: expected {ROWS} rows of numbers"):
        add_objectness(bundle, tmp_path / "other.npy")
    with pytest.raises(ExportError, match=r"missing\.npy"):
        add_objectness(bundle, tmp_path / "missing.npy")
    assert (bundle / "bundle.json").read_bytes() == before
    assert not (bundle / OBJECTNESS).exists()
