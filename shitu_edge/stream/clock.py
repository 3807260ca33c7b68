"""Time that only goes forward, from time stamps that may stand still, jump or go back."""

from __future__ import annotations

LONGEST_STEP_S = 1.0
"""A longer gap between two frames counts as this: what happened in it was not seen."""
_USUAL_STEP_S = 0.1
_FOLLOW = 0.1


class SteadyClock:
    """Seconds since the first frame, as `now_s`.

    A stamp that is not later than the one before, as after a clock was set back, counts as a usual step: the mean of
    recent ones, a tenth of a second at first.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._last: float | None = None
        self._usual = _USUAL_STEP_S

    def advance(self, at_s: float) -> float:
        """Take the stamp of the next frame; return the seconds since the last one, 0 for the first."""
        if self._last is None:
            self._last = at_s
            return 0.0
        step, self._last = at_s - self._last, at_s
        if step <= 0:
            step = self._usual
        else:
            step = min(step, LONGEST_STEP_S)
            self._usual += _FOLLOW * (step - self._usual)
        self.now_s += step
        return step
