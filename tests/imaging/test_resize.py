"""Which of two equal resizes is taken."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from shitu_edge.bench.environment import read_versions
from shitu_edge.imaging import resample, resize
from shitu_edge.imaging.opencv import opencv


@pytest.fixture(autouse=True)
def _found_anew() -> Iterator[None]:
    opencv.cache_clear()
    yield
    opencv.cache_clear()


def test_takes_opencv_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "resize", None)
    image = np.full((4, 6, 3), 9, np.uint8)
    assert (resize.resize(image, 2, 3, "cubic") == 9).all()
    assert read_versions()["opencv"].count(".") == 2


def test_does_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    ours = resample.resize(image, 17, 23, "cubic")
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert opencv() is None
    assert np.array_equal(resize.resize(image, 17, 23, "cubic"), ours)
    assert read_versions()["opencv"] == "not installed"
