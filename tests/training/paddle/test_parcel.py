"""A parcel is read as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.paddle.parcel import Parcel


@pytest.fixture
def parcel() -> Parcel:
    random = np.random.default_rng(1)
    return Parcel(
        kind="extractor",
        facts={"scale": 0.5, "backbone": "lcnet"},
        pictures=["one", "other"],
        made_with={"torch": "1"},
        weights={"a.weight": random.normal(size=(3, 4)).astype(np.float32), "b": np.ones(2, np.float32)},
        images=random.normal(size=(2, 3, 8, 6)).astype(np.float32),
        answers={"embedding": random.normal(size=(2, 5)).astype(np.float32)},
        rounding={"embedding": np.array([1e-7, 2e-7], np.float32)},
    )


def test_round_trip(parcel: Parcel, tmp_path: Path) -> None:
    parcel.write(tmp_path / "p")
    found = Parcel.read(tmp_path / "p", "extractor")
    assert (found.kind, found.facts, found.pictures, found.made_with) == (
        *(parcel.kind, parcel.facts, parcel.pictures, parcel.made_with),
    )
    assert (found.height, found.width) == (8, 6)
    np.testing.assert_array_equal(found.images, parcel.images)
    pairs = [(getattr(found, name), getattr(parcel, name)) for name in ("weights", "answers", "rounding")]
    for mine, theirs in pairs:
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_array_equal(mine[name], value)


def test_another_kind(parcel: Parcel, tmp_path: Path) -> None:
    parcel.write(tmp_path)
    with pytest.raises(ValueError, match="expected weights of kind detector, found extractor"):
        Parcel.read(tmp_path, "detector")


@pytest.mark.parametrize("lacking", ["network.json", "weights.npz", "samples.npz"])
def test_a_file_is_missing(parcel: Parcel, tmp_path: Path, lacking: str) -> None:
    parcel.write(tmp_path)
    (tmp_path / lacking).unlink()
    with pytest.raises(ValueError, match="holds no exported weights"):
        Parcel.read(tmp_path, "extractor")
