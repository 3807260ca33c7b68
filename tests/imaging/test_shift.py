"""Phase correlation: images rolled by known shifts, in other light, with other things in them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.imaging.shift import Spectrum, shift_between


def scene(seed: int, height: int = 90, width: int = 160) -> NDArray[np.float32]:
    """Return smooth blotches, which have structure at all sizes."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 120, (height // 10, width // 10)).repeat(10, 0).repeat(10, 1)
    return (coarse + random.uniform(0, 60, (height, width))).astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, -4), (-7, 5), (12, 9)])
def test_shift_between_finds_a_known_shift(shift: tuple[int, int]) -> None:
    right, down = shift
    before = scene(0)
    after = np.roll(before, (down, right), (0, 1))
    assert shift_between(Spectrum.of(before), Spectrum.of(after)) == shift


def test_shift_between_is_not_moved_by_light_noise_and_other_things() -> None:
    before = scene(1)
    after = np.roll(before, (2, -6), (0, 1)) * 0.4 + 30
    after = after + np.linspace(0, 60, after.shape[1], dtype=np.float32)
    after[20:60, 30:90] = scene(2)[20:60, 30:90]
    after += np.random.default_rng(3).normal(0, 4, after.shape).astype(np.float32)
    assert shift_between(Spectrum.of(before), Spectrum.of(after)) == (-6, 2)


def test_shift_between_plain_images_is_finite() -> None:
    plain = Spectrum.of(np.full((32, 64), 7, np.float32))
    right, down = shift_between(plain, plain)
    assert abs(right) <= 32
    assert abs(down) <= 16


@pytest.mark.parametrize(("shift", "expected"), [((3, -2), (3, -2)), ((-4, 4), (-4, 4)), ((40, 30), None)])
def test_shift_between_looks_no_farther_than_asked(shift: tuple[int, int], expected: tuple[int, int] | None) -> None:
    before = scene(4)
    found = shift_between(Spectrum.of(before), Spectrum.of(np.roll(before, shift[::-1], (0, 1))), 4)
    assert max(map(abs, found)) <= 4
    assert expected is None or found == expected
    tiny = Spectrum.of(before[:3, :5])
    assert max(map(abs, shift_between(tiny, tiny, 8))) == 0
