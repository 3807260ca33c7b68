"""What a refusal shows of a value: short and one line, whatever it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shitu_edge.errors import OptionError
from shitu_edge.ranges import require_flag, require_number, require_whole, shown


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


def nested(depth: int) -> list[Any]:
    return [] if not depth else [nested(depth - 1)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, "0.5"),
        ("可乐", "'可乐'"),
        ("a\x1b[31m\nb", r"'a\x1b[31m\nb'"),
        (10**5000, "int"),
        (Unspeakable(), "Unspeakable"),
        ("x" * 10**6, "xxx...xxx"),
        (nested(500), "[[[[[[...]]]]]]"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, ...]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_shown_is_short(value: Any, expected: str) -> None:
    assert expected in shown(value)
    assert len(shown(value)) <= 60
    assert shown(value).isprintable()


def test_numbers_of_numpy_are_in_their_ranges() -> None:
    for whole in (np.int8(3), np.uint64(3), 3):
        require_whole("x", whole, 1, 3)
        require_number("x", whole, 1, 3)
    for number in (np.float16(0.5), np.float64(0.5), 0.5):
        require_number("x", number, 0, 1)
    require_flag("x", np.True_)


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(1), np.array([1, 2]), np.nan, "1", 4, 0])
def test_require_whole_refuses(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^x: expected a whole number from 1 to 3, found "):
        require_whole("x", value, 1, 3)


@pytest.mark.parametrize("value", [np.bool_(True), np.float32("nan"), np.inf, -np.inf, "1", 1j, np.array([1.0])])
def test_require_number_refuses(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^x: expected a number of at least 0, found "):
        require_number("x", value, 0)
