"""Callbacks that report progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the number done and the total."""
StepProgress = Callable[[str, int, int], None]
"""Called with the name of the step, the number done and the total."""
