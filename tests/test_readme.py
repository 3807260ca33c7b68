"""README says what was measured, and stays short."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are in the checkout alone")

from benchmarks.table import BEGIN, END, README, table, with_table


def test_the_table_of_speeds_is_that_of_the_stored_results() -> None:
    text = README.read_text(encoding="utf-8")
    assert table().count("\n| ") >= 2
    assert with_table(text, table()) == text, "python -m benchmarks.table --write"


def test_the_table_stands_between_its_marks() -> None:
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb\n"
    with pytest.raises(ValueError, match="expected the lines"):
        with_table("nothing", "new")


def test_it_can_be_read_at_once() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    words = re.sub(r"^```.*?^```$|<!--.*?-->|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL).split()
    assert len(words) <= 700
