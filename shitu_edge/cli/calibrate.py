"""`shitu-edge calibrate`: from which score a gallery names a product, for a rate of false accepts."""

from __future__ import annotations

from dataclasses import asdict

from ..bundle.networks import cache_folder
from ..calibration import FEWEST_PRODUCTS, Calibrator
from ..errors import OptionError
from ..gallery import Gallery
from ..results import Calibration
from .options import AsJson, Confidence, GalleryArgument, MaxFalseAccept
from .printing import count, print_line
from .tables import print_facts, print_json, print_table

_RATES = (0.01, 0.02, 0.05, 0.1)
_SURE = 0.9


def calibrate(
    gallery: GalleryArgument,
    max_false_accept: MaxFalseAccept = None,
    confidence: Confidence = None,
    as_json: AsJson = False,
) -> None:
    """Show the score from which a product gets a label.

    Each item asks the gallery without its label, as an unknown object would. `recognize` does the same automatically,
    and keeps it up to date; this command shows the result for several rates, or for one.

    Example: shitu-edge calibrate shop.gallery --max-false-accept 0.05 --confidence 0.9
    """
    rates = _RATES if max_false_accept is None else (max_false_accept,)
    with Gallery.open(gallery, background=False) as opened:
        calibrator = Calibrator(opened, cache_folder(None))
        if max_false_accept is not None:
            calibrator.at(max_false_accept, confidence, wait=True)  # an error if it cannot be promised
        found = [_at(calibrator, rate, confidence) for rate in rates]
        sure = [] if confidence or as_json else [_at(calibrator, rate, _SURE) for rate in rates]
        items, revision = len(opened), opened.revision
    if as_json:
        for rate, one in zip(rates, found, strict=True):
            refused = {"max_false_accept": rate, "confidence": confidence, "error": one}
            print_json(refused if isinstance(one, str) else asdict(one))
        return
    products = next((one.products for one in found if isinstance(one, Calibration)), None)
    print_facts({"gallery": f"{gallery}, revision {revision}", "items": items, "products": products or "-"})
    print_line()
    if products is not None and products < FEWEST_PRODUCTS:
        print_line(f"{count(products, 'product')}: too few for a threshold, which needs {FEWEST_PRODUCTS}.")
        print_line("The bundle's similarity threshold decides.")
        return
    headings = ["false accepts", f"score from ({f'{confidence:.0%} sure' if confidence else 'estimate'})", "state"]
    rows = [[f"{rate:.1%}", _score(one), _state(one)] for rate, one in zip(rates, found, strict=True)]
    if sure:
        headings.append(f"score from ({_SURE:.0%} sure)")
        rows = [[*row, _score(one)] for row, one in zip(rows, sure, strict=True)]
    print_table(headings, rows)


def _at(calibrator: Calibrator, rate: float, confidence: float | None) -> Calibration | str:
    """Return the calibration, or why the products cannot promise the rate."""
    try:
        return calibrator.at(rate, confidence, wait=True)
    except OptionError as error:
        return str(error)


def _score(found: Calibration | str) -> str:
    if isinstance(found, str):
        return found.partition(": ")[2].partition(". ")[0].replace(" are needed", " products needed")
    return "" if found.threshold is None else f"{found.threshold:.3f}"


def _state(found: Calibration | str) -> str:
    return "refused" if isinstance(found, str) else found.state
