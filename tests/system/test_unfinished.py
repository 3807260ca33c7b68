"""Unfinished files: temporary names next to their target."""

from __future__ import annotations

from pathlib import Path

from shitu_edge.system.unfinished import finished, unfinished


def test_finished_is_the_target_of_nested_temporary_paths(tmp_path: Path) -> None:
    target = tmp_path / "shop.partial.gallery"
    with unfinished(target) as partial, unfinished(partial) as inner:
        assert inner != partial != target
        assert finished(inner) == finished(partial) == finished(target) == target
