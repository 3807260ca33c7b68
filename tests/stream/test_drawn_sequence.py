"""A small part of `benchmarks/stream.py`: a drawn counter, the built-in networks, the samples' gallery."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are in the checkout alone")
pytest.importorskip("cv2", reason="the sequences are drawn with OpenCV")

from benchmarks.stream import Tally, demo_shop, report, run
from shitu_edge import Recognizer
from shitu_edge.stream import DEFAULT_STREAM


def test_stream_of_a_drawn_sequence(tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    with Recognizer.open() as embedder:
        shop = demo_shop(embedder, path)
    tally = Tally()
    with Recognizer.open(gallery=path) as recognizer:
        recognizer.calibration(wait=True)
        run(recognizer, shop, 4, 77, tally, DEFAULT_STREAM)
    found = report(tally)
    assert (tally.placements, tally.wrong, tally.flips, tally.lost, tally.missed_counts) == (4, [], [], [], [])
    assert found["never_named"] == 0
    assert max(tally.rest_s) <= 1.0
    assert tally.looks["None"] > tally.frames / 3
