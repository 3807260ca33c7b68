"""How a gallery is calibrated, for `calibrate`, `gallery info` and `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..bundle.networks import cache_folder, open_bundle
from ..calibration import Calibrator, Queries, Stored, products_needed
from ..errors import BundleError, OptionError
from ..gallery import Gallery
from ..gallery.labels import NEGATIVE
from ..gallery.layers import Layers, open_local
from ..results import Calibration
from ..results.explanation import kept, threshold_line
from ..stages.photo_features import opened_photos
from .printing import count


@dataclass(frozen=True, slots=True)
class CalibrationFacts:
    """A gallery's calibration with a bundle, or why there is none.

    Attributes:
        calibration: None without a target, or if it is refused.
        refusal: why there is no calibration, empty if there is one.
        stored: what the gallery keeps.
        similarity_threshold: the bundle's.
        precision: of the bundle's extractor.
        products: labels of the gallery and its local layer.
    """

    calibration: Calibration | None
    refusal: str
    stored: Stored
    similarity_threshold: float
    precision: str
    products: int

    def record(self) -> dict[str, Any] | None:
        """Return the calibration for JSON."""
        return None if self.calibration is None else asdict(self.calibration)

    def facts(self) -> dict[str, object]:
        """Return a line for what decides, and one per thing that the gallery keeps."""
        lines: dict[str, object] = {
            "calibration": self.refusal or threshold_line(self.calibration, self.similarity_threshold)
        }
        queries, groups = self.stored.queries, {*self.stored.look_alikes.values()}
        if queries is not None:
            note = "" if queries.precision == self.precision else f", not used: embedded in {queries.precision}"
            lines["labeled images"] = f"{len(queries.labels)}{note}"
        if groups:
            lines["look-alikes"] = count(len(groups), "group")
        return lines

    def advice(self) -> list[str]:
        """Return what to do about a calibration that cannot be relied on."""
        found = self.calibration
        if self.refusal:
            return [self.refusal]
        if found is None or found.state in ("calibrated", "stale"):
            return []
        if not self.products:
            return ["no product is enrolled yet: start with `shitu-edge gallery build`"]
        if not found.products:
            return ["the gallery is not calibrated yet: `shitu-edge calibrate` does it now"]
        few = f"{count(found.products, 'product')} are too few to tell {kept(found)}"
        return [f"{few}: enroll {_needed(found)} or more, or allow a larger share"]


def _needed(found: Calibration) -> str:
    """Return how many products tell the share."""
    if found.max_false_accept is None:
        return f"{products_needed(found.max_wrong or 0)} with two photos each"
    return str(products_needed(found.max_false_accept))


@contextmanager
def opened_layers(gallery: Path, local: Path | None) -> Iterator[Layers]:
    """Open a gallery, and the local layer on top of it if one is named, until the block ends.

    Raises:
        GalleryError: either cannot be opened, or both are the same; FingerprintError: they are of different extractors.
    """
    with ExitStack() as stack:
        central = stack.enter_context(Gallery.open(gallery, background=False))
        own = None if local is None else stack.enter_context(open_local(local, central, central.meta))
        yield Layers(central, own)


@contextmanager
def opened_calibrator(
    layers: Layers, bundle: Bundle, precision: str, queries: Queries | None = None
) -> Iterator[Calibrator]:
    """Open a calibrator; with the bundle's foreign products, if the gallery was made with its extractor.

    Args:
        layers: the gallery, with or without a local layer.
        bundle: whose extractor embeds what is recognized.
        precision: of that extractor: labeled images that the gallery keeps are used if they were embedded in it.
        queries: labeled images in place of those, which the cache does not know.
    """
    extractor = bundle.manifest.extractor
    cohort = bundle.cohort() if extractor.fingerprint == layers.meta.fingerprint else None
    folder = None if queries else cache_folder(None)
    with (
        opened_photos(layers) as photos,
        closing(Calibrator(layers, folder, cohort, precision, queries, photos)) as calibrator,
    ):
        yield calibrator


def calibration_of(layers: Layers, models: str | None) -> CalibrationFacts:
    """Return how a gallery is calibrated with a bundle; one with many items as far as the cache knows."""
    products = len(layers.labels() - {NEGATIVE})
    try:
        bundle = open_bundle(models)
    except BundleError as error:
        if models:
            raise
        return CalibrationFacts(None, str(error), Stored(), 0.0, "", products)
    extractor, policy = bundle.manifest.extractor, bundle.manifest.policy
    precision = extractor.network.default_precision
    with opened_calibrator(layers, bundle, precision) as calibrator:
        stored = calibrator.stored()
        rest = stored, policy.similarity_threshold, precision, products
        target = stored.target or policy.target
        if extractor.fingerprint != layers.meta.fingerprint:
            refusal = f"made with the extractor {layers.meta.extractor}: name its bundle with --models"
            return CalibrationFacts(None, refusal, *rest)
        try:
            found = None if target is None else calibrator.at(target)
        except OptionError as error:
            return CalibrationFacts(None, str(error), *rest)
    return CalibrationFacts(found, "", *rest)
