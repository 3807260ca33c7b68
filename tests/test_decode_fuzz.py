"""Damaged image files of all formats, the same ones each time; `fuzz_decode` goes on without end."""

from __future__ import annotations

import warnings
from collections import Counter
from itertools import islice

import numpy as np

from tests.fuzz_decode import check, files, seeds

FILES = 12_000


def test_damaged_files_are_refused_in_a_line_or_read_alike_by_either_decoder() -> None:
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content, enough_side in islice(files(np.random.default_rng(0), seeds()), FILES):
            try:
                outcomes[check(content, enough_side)] += 1
            except AssertionError as error:
                raise AssertionError(f"file {outcomes.total()}, from {name}") from error
    assert min(outcomes["read"], outcomes["refused"]) > FILES / 10, "both are tried"


def test_sound_files_are_read() -> None:
    for name, content in seeds().items():
        assert check(content, None) == "read", name
