"""Resizing against OpenCV, whose `resize` the networks were trained behind: our own, and OpenCV's in our clothes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Literal, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shitu_edge.bench.environment import read_versions
from shitu_edge.imaging import resample
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.imaging.opencv import opencv
from shitu_edge.imaging.resample import Kernel, Planes
from shitu_edge.system.workers import Workers

Resize = Callable[..., Planes]
Content = Literal["noise", "gradient", "extremes"]
CONTENTS: tuple[Content, ...] = ("noise", "gradient", "extremes")
INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
LARGEST_DIFFERENCE = {"bilinear": 0, "cubic": 1}
SHAPES = [  # height and width of the image, then of the result
    (1, 1, 1, 1),
    (1, 1, 9, 17),
    (1, 37, 224, 224),
    (37, 1, 224, 224),
    (1, 300, 1, 50),
    (300, 1, 50, 1),
    (2, 3, 64, 64),
    (7, 5, 1, 1),
    (64, 64, 64, 64),
    (128, 96, 64, 48),
    (448, 448, 224, 224),
    (97, 61, 224, 224),
    (480, 640, 416, 416),
    (417, 415, 416, 416),
    (500, 9, 9, 500),
    (3, 1900, 224, 224),
    (1900, 3, 224, 224),
    (600, 7, 32, 32),
    (33, 65, 8, 7),
    (20, 30, 33, 61),
]


@pytest.fixture(scope="module", params=[False, True], ids=["ours", "opencv"])
def resize(request: pytest.FixtureRequest) -> Resize:
    return partial(resample.resize, use_opencv=request.param)


def drawn(content: Content, height: int, width: int, seed: int = 0) -> Pixels:
    generator = np.random.default_rng(seed)
    if content == "noise":
        return generator.integers(0, 256, (height, width, 3), np.uint8)
    if content == "extremes":
        return generator.choice(np.array([0, 255], np.uint8), (height, width, 3))
    ramp = np.add.outer(np.linspace(0, 155, height), np.linspace(0, 100, width))
    return np.stack([ramp, 255 - ramp, ramp / 2], axis=2).astype(np.uint8)


def reference(image: Pixels, height: int, width: int, kernel: Kernel) -> NDArray[np.int32]:
    resized = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=INTERPOLATION[kernel])
    planes: NDArray[np.int32] = resized.reshape(height, width, 3).transpose(2, 0, 1).astype(np.int32)
    return planes


def assert_equals_opencv(planes: Planes, image: Pixels, kernel: Kernel) -> None:
    expected = reference(image, planes.shape[1], planes.shape[2], kernel)
    assert np.abs(planes - expected).max() <= LARGEST_DIFFERENCE[kernel]
    assert np.array_equal(planes, planes.astype(np.uint8)), "gray levels are whole and within 0..255"


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}x{0[1]} to {0[2]}x{0[3]}".format)
def test_equals_opencv(resize: Resize, kernel: Kernel, content: Content, shape: tuple[int, int, int, int]) -> None:
    image = drawn(content, *shape[:2])
    planes = resize(image, *shape[2:], kernel)
    assert planes.shape == (3, *shape[2:])
    assert planes.dtype == np.float32
    assert_equals_opencv(planes, image, kernel)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    st.sampled_from(["bilinear", "cubic"]),
    st.sampled_from(CONTENTS),
    st.tuples(*[st.integers(1, 130)] * 4),
    st.integers(0, 2**32 - 1),
)
def test_equals_opencv_for_any_shape(
    resize: Resize, kernel: Kernel, content: Content, shape: tuple[int, int, int, int], seed: int
) -> None:
    image = drawn(content, shape[0], shape[1], seed)
    assert_equals_opencv(resize(image, shape[2], shape[3], kernel), image, kernel)


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda image: image[11:90, 7:63], id="crop"),
        pytest.param(lambda image: image[::3, ::2], id="every third and second"),
        pytest.param(lambda image: image[::-1, ::-1], id="reversed"),
        pytest.param(lambda image: image[:, :, ::-1], id="BGR"),
        pytest.param(lambda image: image.transpose(1, 0, 2), id="transposed"),
        pytest.param(lambda image: np.asfortranarray(image), id="column-major"),
        pytest.param(lambda image: np.broadcast_to(image[:1], image.shape), id="broadcast"),
    ],
)
def test_takes_views(resize: Resize, kernel: Kernel, view: Callable[[Pixels], Pixels]) -> None:
    image = view(drawn("noise", 120, 90))
    assert_equals_opencv(resize(image, 48, 40, kernel), image, kernel)


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
def test_leaves_the_image_alone(resize: Resize, kernel: Kernel) -> None:
    image = drawn("noise", 50, 60)
    image.setflags(write=False)
    before = image.copy()
    resize(image, 32, 32, kernel)
    resize(image, 50, 60, kernel)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
def test_writes_into_out(resize: Resize, kernel: Kernel) -> None:
    image = drawn("noise", 70, 45)
    batch = np.full((3, 3, 40, 30), np.nan, np.float32)
    returned = resize(image, 40, 30, kernel, out=batch[1])
    assert np.shares_memory(returned, batch)
    assert_equals_opencv(batch[1], image, kernel)
    assert np.isnan(batch[[0, 2]]).all(), "the neighboring slots are untouched"


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
def test_results_are_independent(resize: Resize, kernel: Kernel) -> None:
    image = drawn("noise", 64, 64)
    first = resize(image, 32, 32, kernel)
    kept = first.copy()
    resize(255 - image, 32, 32, kernel)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
def test_same_size_is_the_identity(resize: Resize, kernel: Kernel) -> None:
    image = drawn("noise", 33, 21)
    assert np.array_equal(resize(image, 33, 21, kernel), image.transpose(2, 0, 1))


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_flat_stays_flat(resize: Resize, kernel: Kernel, level: int) -> None:
    image = np.full((57, 31, 3), level, np.uint8)
    assert (resize(image, 224, 19, kernel) == level).all()


@pytest.mark.parametrize("kernel", ["bilinear", "cubic"])
def test_shared_among_workers_it_is_the_same(resize: Resize, kernel: Kernel) -> None:
    image = drawn("noise", 300, 417)
    gain, bias = np.array([0.1, 0.2, 0.3], np.float32), np.array([1, 2, 3], np.float32)
    workers = Workers(3)
    alone = resize(image, 331, 200, kernel, None, gain, bias)
    assert np.array_equal(resize(image, 331, 200, kernel, None, gain, bias, workers), alone)
    workers.shutdown()


def test_bilinear_by_hand(resize: Resize) -> None:
    """0 and 100 on four pixels: the centers lie at -0.25, 0.25, 0.75, 1.25 of the two."""
    image = np.array([[[0, 0, 0], [100, 100, 100]]], np.uint8)
    assert resize(image, 1, 4, "bilinear")[0].tolist() == [[0, 25, 75, 100]]


def test_normalize_by_hand(resize: Resize) -> None:
    image = np.full((2, 2, 3), [0, 51, 255], np.uint8)
    gain, bias = np.array([1, 2, 1 / 255], np.float32), np.array([0.5, -2, 0], np.float32)
    for kernel in get_args(Kernel):
        normalized = resize(image, 3, 3, kernel, gain=gain, bias=bias)
        np.testing.assert_allclose(normalized, np.broadcast_to([[[0.5]], [[100]], [[1]]], (3, 3, 3)), rtol=1e-6)


@pytest.fixture
def _looked_for_again() -> Iterator[None]:
    opencv.cache_clear()
    yield
    opencv.cache_clear()


@pytest.mark.usefixtures("_looked_for_again")
def test_resize_takes_opencv_if_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    resized = np.full((2, 3, 3), 7, np.uint8)
    stand_in = SimpleNamespace(
        INTER_CUBIC=2, resize=lambda *_, **__: resized, split=lambda levels: levels.T.swapaxes(1, 2)
    )
    monkeypatch.setitem(sys.modules, "cv2", stand_in)
    assert (resample.resize(np.full((4, 6, 3), 9, np.uint8), 2, 3, "cubic") == 7).all()


@pytest.mark.usefixtures("_looked_for_again")
def test_resize_does_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    ours = resample.resize(image, 17, 23, "cubic", use_opencv=False)
    assert read_versions()["opencv"].count(".") == 2
    monkeypatch.setitem(sys.modules, "cv2", None)
    opencv.cache_clear()
    assert np.array_equal(resample.resize(image, 17, 23, "cubic"), ours)
    assert read_versions()["opencv"] == "not installed"
