from __future__ import annotations

import pytest

from shitu_edge.stream.clock import SteadyClock


def test_clock_follows_stamps() -> None:
    clock = SteadyClock()
    assert [clock.advance(at_s) for at_s in (100.0, 100.25, 100.5)] == [0, 0.25, 0.25]
    assert clock.now_s == 0.5


@pytest.mark.parametrize("later", [5.0, 0.0, -1e9])
def test_clock_goes_forward_when_stamps_stand_still_or_go_back(later: float) -> None:
    clock = SteadyClock()
    clock.advance(5.0)
    assert [clock.advance(later - number) for number in range(3)] == [0.1, 0.1, 0.1]


def test_clock_counts_a_set_back_as_one_usual_step() -> None:
    clock = SteadyClock()
    for number in range(200):
        clock.advance(1000 + 0.04 * number)
    assert clock.advance(3.0) == pytest.approx(0.04, abs=1e-3)
    assert clock.advance(3.04) == pytest.approx(0.04)


def test_clock_counts_a_gap_as_a_second() -> None:
    clock = SteadyClock()
    clock.advance(0.0)
    assert clock.advance(3600.0) == 1.0
