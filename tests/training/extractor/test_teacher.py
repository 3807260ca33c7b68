"""A teacher's vectors and maps are those of the views, with a teacher of two convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import cv2
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from training.extractor.discriminant import Scatter, discriminant
from training.extractor.packs import Pack, pack_images
from training.extractor.teacher import MAP_DEPTHS, Lessons, center
from training.extractor.teaching import Focus, find_focus, teach
from training.extractor.views import cut, part_of

from .images import write_products
from .test_packs import ignore

SIDE = 56


def write_teacher(path: Path, halves: bool = True, mixing: NDArray[Any] | None = None) -> None:
    """Write a network whose maps average 4 × 4 and 8 × 8 pixels, and whose vector is the image's mean color.

    `mixing` (C, 3) gives it more channels than colors.
    """
    image = ops.parameter([1, SIDE, SIDE, 3], np.uint8)
    features = ops.transpose(ops.convert(image, np.float32), np.array([0, 3, 1, 2]))
    if mixing is not None:
        features = ops.convolution(features, mixing[:, :, None, None], [1, 1], [0, 0], [0, 0], [1, 1])
    same = np.eye(3 if mixing is None else len(mixing), dtype=np.float32)
    for size in (4, 2 if halves else 14):
        kernel = same[:, :, None, None] * np.full((size, size), 1 / size**2, np.float32)
        features = ops.convolution(features, kernel, [size, size], [0, 0], [0, 0], [1, 1])
    ov.save_model(ov.Model([ops.reduce_mean(features, np.array([2, 3]))], [image]), path, compress_to_fp16=False)


def projections() -> Focus:
    """Return a focus of three channels that keeps the vector as it is, and random mixtures of the maps."""
    parts: list[NDArray[np.float64]] = [np.eye(3), np.zeros(3)]
    for depth in MAP_DEPTHS:
        parts += [np.random.default_rng(depth).standard_normal((depth, 3)) / depth**0.5, np.zeros(depth)]
    return Focus(*parts)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Two products of two images, taught in three views."""
    folder = tmp_path_factory.mktemp("taught")
    write_products(folder / "products", range(2), range(2))
    write_teacher(folder / "teacher.xml")
    made = pack_images([folder / "products"], folder / "pack", 64, False, ignore)
    teach(made, folder / "teacher.xml", 3, ignore, projections())
    return made


def test_vectors_and_maps_are_those_of_their_views(pack: Pack) -> None:
    lessons = Lessons.open(pack.folder)
    assert lessons is not None
    assert lessons.maps.shape == (4, 3, sum(MAP_DEPTHS), 7, 7)
    for row, view in ((0, 0), (3, 2)):
        seen = cut(pack.pixels_rgb[row], part_of(row, view), SIDE).astype(np.float32)
        np.testing.assert_allclose(lessons.vectors[row, view], seen.mean((0, 1)), rtol=2e-3)
        places = seen.reshape(7, 8, 7, 8, 3).mean((1, 3)).transpose(2, 0, 1)
        expected = np.einsum("dc,chw->dhw", projections().coarse, places)
        np.testing.assert_allclose(lessons.maps[row, view, : MAP_DEPTHS[0]], expected, atol=0.3)


@pytest.mark.parametrize("left", ["teacher.npy", "teacher-maps.npy"])
def test_half_of_a_lesson_is_refused(tmp_path: Path, left: str) -> None:
    """As where a teacher was interrupted, or asked before there were maps."""
    assert Lessons.open(tmp_path) is None
    np.save(tmp_path / left, np.zeros(1))
    with pytest.raises(ValueError, match=f"only {left} is there: teach it again"):
        Lessons.open(tmp_path)


def test_what_is_taught_has_its_mean(pack: Pack) -> None:
    lessons = Lessons.open(pack.folder)
    assert lessons is not None
    vector, place = center([lessons, lessons])
    np.testing.assert_allclose(vector, lessons.vectors.mean((0, 1), dtype=np.float32), rtol=1e-4)
    np.testing.assert_allclose(place[:, 0, 0], lessons.maps.mean((0, 1, 3, 4), dtype=np.float32), atol=1e-3)


def test_a_teacher_without_maps_is_refused(pack: Pack, tmp_path: Path) -> None:
    write_teacher(tmp_path / "other.xml", halves=False)
    with pytest.raises(ValueError, match="halves its maps' resolution"):
        teach(pack, tmp_path / "other.xml", 1, ignore, projections())


def test_a_focus_is_what_tells_products_apart(tmp_path: Path) -> None:
    """Of maps with 256 channels that are mixtures of three colors, against discriminant analysis of mean colors."""
    mixing = np.random.default_rng(3).standard_normal((256, 3), np.float32) / np.float32(16)
    write_teacher(tmp_path / "teacher.xml", mixing=mixing)
    made = pack_images(
        [write_products(tmp_path / "products", range(12), range(3))], tmp_path / "pack", 64, False, ignore
    )
    steps: list[tuple[int, int]] = []
    focus = find_focus([(made, 1.0)], [tmp_path / "teacher.xml"], lambda *step: steps.append(step))
    assert steps[-1] == (len(made), len(made))
    colors = np.stack([cv2.resize(image, (SIDE, SIDE)).mean((0, 1)) for image in made.pixels_rgb])
    matrix, offset = discriminant(Scatter.of(colors @ mixing.T, made.labels), 256, 0.1)
    own = np.abs((colors @ mixing.T) @ focus.vector.T + focus.vector_offset)
    np.testing.assert_allclose(own, np.abs(colors @ mixing.T @ matrix.T + offset), atol=2e-3)

    focus.save(tmp_path / "focus.npz")
    teach(made, tmp_path / "teacher.xml", 2, ignore, Focus.load(tmp_path / "focus.npz"))
    lessons = Lessons.open(made.folder)
    assert lessons is not None
    seen = cut(made.pixels_rgb[5], part_of(5, 1), SIDE).astype(np.float32)
    places = np.einsum("kc,yxc->kyx", mixing, seen.reshape(7, 8, 7, 8, 3).mean((1, 3)))
    expected = np.einsum("dk,kyx->dyx", focus.coarse, places) + focus.coarse_offset[:, None, None]
    np.testing.assert_allclose(lessons.maps[5, 1, : MAP_DEPTHS[0]], expected, atol=2e-3)
    np.testing.assert_allclose(
        lessons.vectors[5, 1], focus.vector @ places.mean((1, 2)) + focus.vector_offset, atol=2e-3
    )


def test_several_teachers_are_one_of_all_their_channels(tmp_path: Path) -> None:
    """Of two whose maps are halves of a third's, the focus is that one's, up to the directions' signs."""
    mixing = np.random.default_rng(4).standard_normal((300, 3), np.float32) / np.float32(16)
    for name, rows in (("whole", slice(None)), ("upper", slice(200)), ("lower", slice(200, None))):
        write_teacher(tmp_path / f"{name}.xml", mixing=mixing[rows])
    products = write_products(tmp_path / "products", range(8), range(3))
    made = pack_images([products], tmp_path / "pack", 64, False, ignore)
    one = find_focus([(made, 1.0)], [tmp_path / "whole.xml"], ignore)
    several = find_focus([(made, 1.0)], [tmp_path / "upper.xml", tmp_path / "lower.xml"], ignore)
    colors = mixing @ np.random.default_rng(5).uniform(0, 255, (3, 20))
    for part in ("vector", "coarse", "fine"):
        seen = [getattr(focus, part) @ colors + getattr(focus, f"{part}_offset")[:, None] for focus in (one, several)]
        np.testing.assert_allclose(seen[0].T @ seen[0], seen[1].T @ seen[1], rtol=1e-2, atol=1e-2)
    one.save(tmp_path / "focus.npz")
    with pytest.raises(ValueError, match=r"upper.xml: the focus is of maps of \[300, 300\] channels"):
        teach(made, tmp_path / "upper.xml", 1, ignore, Focus.load(tmp_path / "focus.npz"))


def test_a_focus_that_cannot_be_is_refused(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="256 directions are to be kept of maps that have 3 channels"):
        find_focus([(pack, 1.0)], [pack.folder.parent / "teacher.xml"], ignore)
    (tmp_path / "none.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "other.npz", vector=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:-30])
    for name in ("missing.npz", "none.npz", "other.npz", "cut.npz"):
        with pytest.raises(ValueError, match=f"{name}: is no teacher's focus"):
            Focus.load(tmp_path / name)
