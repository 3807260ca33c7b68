"""An evaluation in words: facts and tables for the terminal, and an HTML page with the curve."""

from __future__ import annotations

from collections.abc import Iterator

from ..drawing import plots
from ..drawing.page import Table, document, facts_html, table_html
from .evaluation import Evaluation
from .open_set import OperatingPoint

_PRODUCTS = 20
_SHOWN_ACCEPTS = 0.25
"""A shop would take no higher rate."""


def facts(evaluation: Evaluation) -> dict[str, str]:
    """Return what was evaluated on, by name."""
    queries = f"{evaluation.known} of enrolled products, {evaluation.unknown} unknown objects"
    if evaluation.kind == "leave_one_out":
        queries += " (the gallery's own items, each without itself, then without its label"
        queries += "; a sample)" if evaluation.sampled else ")"
    return {
        "gallery": f"{evaluation.gallery}, revision {evaluation.revision}: {evaluation.items} items, "
        f"{evaluation.labels} labels",
        "bundle": f"{evaluation.bundle}, extractor {evaluation.precision}",
        "queries": queries,
    }


def tables(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the metrics."""
    found = evaluation.retrieval
    yield Table(
        "Retrieval",
        ("queries", "recall@1", "recall@5", "mAP"),
        (
            (
                str(found.queries),
                _percent(found.recall_at_1),
                _percent(found.recall_at_5),
                _percent(found.mean_average_precision),
            ),
        ),
    )
    rows = [_point("threshold in use", evaluation.working)]
    rows += [_point(f"at most {target:.0%} false accepts", point) for target, point in evaluation.targets]
    scale = "score from" if evaluation.threshold.calibrated else "similarity from"
    yield Table("Names", ("", scale, "right", "wrong", "false accepts"), tuple(rows))
    if look := evaluation.second_look:
        title = f"With the second look, recall@1 {_percent(look.recall_at_1)}"
        rows = [_point("threshold in use", look.working)]
        rows += [_point(f"at most {target:.0%} false accepts", point) for target, point in look.targets]
        yield Table(title, ("", "score from", "right", "wrong", "false accepts"), tuple(rows))
    if lists := evaluation.lists:
        cells = _percent(lists.coverage), f"{lists.mean_length:.2f}", _percent(lists.ambiguous)
        yield Table("Possible labels", ("the right one among them", "labels", "asked about (ambiguous)"), (cells,))
    spread = evaluation.spread
    if spread.labels:
        worst = [(label, _percent(rate)) for label, rate in spread.worst if rate < spread.mean]
        title = f"Right names by label: {_percent(spread.mean)} on average, deviation {_percent(spread.deviation)}"
        yield Table(title, ("worst labels", "right"), tuple(worst))
    if boxes := evaluation.boxes:
        yield Table(
            f"Boxes of {boxes.photos} photos",
            ("things", "AP50", "AP", "found", "doubles per photo", "background per photo"),
            (
                (
                    str(boxes.things),
                    _percent(boxes.ap50),
                    _percent(boxes.ap),
                    _percent(boxes.found),
                    f"{boxes.doubles:.2f}",
                    f"{boxes.background:.2f}",
                ),
            ),
        )
        products = [
            (
                product.label,
                str(product.shown),
                str(product.boxed),
                _percent(product.recall),
                _percent(product.precision),
            )
            for product in boxes.products[:_PRODUCTS]
        ]
        yield Table("Products, worst first", ("label", "shown", "boxed", "recall", "precision"), tuple(products))
    if baskets := evaluation.baskets:
        yield Table(
            "Baskets",
            ("photos", "all right (cAcc)", "items off (ACD)", "per label (mCCD)", "mCIoU"),
            (
                (
                    str(baskets.images),
                    _percent(baskets.accuracy),
                    f"{baskets.count_error:.2f}",
                    f"{baskets.count_error_per_label:.2f}",
                    _percent(baskets.count_overlap),
                ),
            ),
        )
    if evaluation.confusions:
        pairs = tuple((pair.label, pair.nearest, str(pair.count)) for pair in evaluation.confusions)
        yield Table("Confusions", ("label", "nearest item's", "queries"), pairs)
    if evaluation.attractors:
        items = tuple(
            (str(one.item), one.label, one.source, str(one.wrong), str(one.right)) for one in evaluation.attractors
        )
        yield Table("Gallery items that attract other labels", ("id", "label", "source", "wrong", "right"), items)


def page(evaluation: Evaluation) -> str:
    """Return the HTML page."""
    return document("shitu-edge evaluate", _parts(evaluation))


def _parts(evaluation: Evaluation) -> Iterator[str]:
    yield facts_html(facts(evaluation))
    points = [point for point in evaluation.curve if point.false_accepts <= _SHOWN_ACCEPTS]  # NaN without unknown ones
    if points:
        yield "<h2>Names against false accepts</h2>"
        shares = {
            "right": [(100 * point.false_accepts, 100 * point.named_right) for point in points],
            "wrong": [(100 * point.false_accepts, 100 * point.misnamed) for point in points],
        }
        marks = {"threshold in use": 100 * evaluation.working.false_accepts}
        yield plots.curve(shares, "false accepts", "of enrolled products", marks)
    for table in tables(evaluation):
        yield from table_html(table)
    if evaluation.worst:
        rows = tuple(
            (query.source, query.label or "", query.nearest or "", f"{query.similarity:.3f}", str(query.own_rank))
            for query in evaluation.worst
        )
        headings = ("image", "label", "nearest item's", "similarity", "rank of its own")
        yield from table_html(Table("Worst queries", headings, rows))


def _point(name: str, point: OperatingPoint) -> tuple[str, ...]:
    shares = map(_percent, (point.named_right, point.misnamed, point.false_accepts))
    return (name, f"{point.threshold:.3f}", *shares)


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f}%"
