"""Recognitions made by hand, for what is drawn of them and judged."""

from __future__ import annotations

from shitu_edge.results import Box, Decision, EngineInfo, Provenance, Recognition, RecognizedItem, StageTimes


def item(box: Box, label: str | None, decision: Decision | None = None) -> RecognizedItem:
    """Return an item that is accepted, without a label unknown."""
    return RecognizedItem(box, decision or ("unknown" if label is None else "accepted"), label, 0.9, 0.8, ())


def answer(width: int, height: int, *items: RecognizedItem) -> Recognition:
    """Return the answer to an image of this size."""
    engine = EngineInfo("none", "0", "fp32", 1, None)
    return Recognition(
        items,
        (),
        width,
        height,
        StageTimes(1, 2, 3, 4, 5, 6, 21),
        Provenance("tiny", "0", engine, engine, 1, None, "shitu-edge"),
    )
