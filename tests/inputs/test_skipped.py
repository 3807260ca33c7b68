from __future__ import annotations

from shitu_edge.inputs.skipped import Skipped, summary
from shitu_edge.system.text import some


def test_summary_groups_by_reason_and_stays_short() -> None:
    skipped = [Skipped(f"{number}.jpg", "is empty") for number in range(2640)]
    skipped += [Skipped("a.txt", "is not an image"), Skipped("b.txt", "is not an image")]
    assert summary(skipped) == [
        "0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2635 more: is empty",
        "a.txt, b.txt: is not an image",
    ]
    assert summary([]) == []


def test_summary_has_at_most_twenty_reasons_and_a_rest() -> None:
    lines = summary(Skipped(f"{number}.jpg", f"{number} × {number} pixels are more than 7") for number in range(100))
    assert len(lines) == 21
    assert lines[-1] == "80 more, for 80 other reasons"


def test_some_names() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"
