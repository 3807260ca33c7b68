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
        found = [calibrator.at(rate, confidence, wait=True) for rate in rates]
        sure = [_promised(calibrator, rate) for rate in rates]
        items = len(opened)
    if as_json:
        for one in found:
            print_json(asdict(one))
        return
    print_facts({"gallery": f"{gallery}, revision {found[0].revision}", "items": items, "labels": found[0].products})
    if found[0].state == "uncalibrated":
        print_line()
        print_line(f"{count(found[0].products, 'label')}: too few for a threshold, which needs {FEWEST_PRODUCTS}.")
        print_line("The bundle's similarity threshold decides.")
        return
    print_line()
    how = "estimate" if confidence is None else f"{confidence:.0%} sure"
    rows = [[f"{one.max_false_accept:.1%}", f"{one.threshold:.3f}", one.state] for one in found]
    headings = ["false accepts", f"score from ({how})", "state"]
    if confidence is None:
        rows = [[*row, promised] for row, promised in zip(rows, sure, strict=True)]
        headings.append(f"score from ({_SURE:.0%} sure)")
    print_table(headings, rows)


def _promised(calibrator: Calibrator, rate: float) -> str:
    """Return the threshold that is 90 % sure, or that it needs more products."""
    try:
        found: Calibration = calibrator.at(rate, _SURE)
    except OptionError as error:
        return str(error).partition(": ")[2].partition(" more")[0] + " more products needed"
    return "" if found.threshold is None else f"{found.threshold:.3f}"
