"""What shitu-edge answers with: frozen records of plain numbers, text and arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

Box = tuple[float, float, float, float]
"""`x1, y1, x2, y2` in pixels of the image as it was given, after its EXIF orientation."""

Decision = Literal["accepted", "ambiguous", "unknown"]
DropReason = Literal[
    "below_threshold",
    "no_texture",
    "suppressed",
    "deadline",
    "max_boxes",
    "negative",
    "outside",
    "ignored",
    "too_small",
    "too_large",
    "background",
    "no_product",
]


@dataclass(frozen=True, slots=True)
class Detection:
    """One detection: its box, its score in 0..1, and its class id."""

    box_xyxy: Box
    score: float
    class_id: int


@dataclass(frozen=True, slots=True)
class Detections:
    """Detections, best first: boxes (N, 4) float32 xyxy px, scores (N,) float32, class ids (N,) int32.

    Iterating yields each as a `Detection`.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        rows = zip(self.boxes_xyxy.tolist(), self.scores.tolist(), self.class_ids.tolist(), strict=True)
        for (x1, y1, x2, y2), score, class_id in rows:
            yield Detection((x1, y1, x2, y2), score, class_id)

    def only(self, which: NDArray[np.bool_]) -> Detections:
        """Return those for which `which` (N,) is true."""
        return Detections(self.boxes_xyxy[which], self.scores[which], self.class_ids[which])

    def best(self, count: int) -> Detections:
        """Return the first `count` of them."""
        return Detections(self.boxes_xyxy[:count], self.scores[:count], self.class_ids[:count])


SIMILARITY_ROUNDING = 5e-6
"""How far a similarity may be off, of rows of up to 4096 numbers: a query alone and among others differ by as much."""


LEAST_INLIERS = 5
"""Points in common that mean nothing: so few agree by chance."""
_INLIERS = 16.0
"""Further ones that take away 63 % of what a similarity lacks (`benchmarks/second_look.py`)."""


def support(similarity: float, inliers: int) -> float:
    """Return a similarity raised by points in common: 1 - (1 - similarity) · exp(-max(0, inliers - 5) / 16)."""
    if inliers <= LEAST_INLIERS:
        return similarity
    return 1 - (1 - similarity) * math.exp(-(inliers - LEAST_INLIERS) / _INLIERS)


@dataclass(frozen=True, slots=True)
class Match:
    """One gallery item near a query: its id and label, and the cosine similarity in -1..1.

    Items of a local layer have negative ids: -7 is the item 7 of the local gallery. `inliers` are the points that a
    second look has found in common with its photo, 0 without one; `similarity` is then that of the object turned as it
    fits the photo best.
    """

    item_id: int
    label: str
    similarity: float
    inliers: int = 0

    @property
    def support(self) -> float:
        """What labels are judged by: the similarity, raised by what agrees."""
        return support(self.similarity, self.inliers)


@dataclass(frozen=True, slots=True)
class LabelCandidate:
    """A label that an object may have, by its most similar gallery item.

    Attributes:
        label, item_id, similarity: as in `Match`.
        share: of this label among those that compete, 0..1 (softmax of similarity / 0.05): the probability that an
            enrolled object has it. Those of an unknown object also sum to 1.
        possible: the label is not ruled out: it is the answer, or one of those to ask about. No label of an unknown
            object is possible.
        probability: that the object has this label, 0..1, an unknown object allowed for; None unless the gallery
            supports it (see `Calibration`).
        inliers: as in `Match`.
    """

    label: str
    item_id: int
    similarity: float
    share: float
    possible: bool = False
    probability: float | None = None
    inliers: int = 0

    @property
    def support(self) -> float:
        """As in `Match`."""
        return support(self.similarity, self.inliers)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an object and the photo of a gallery item have in common.

    Attributes:
        item_id: the item.
        object_xy: points (N, 2) float32 of the object, x and y in pixels of the image.
        photo_xy: the same points (N, 2) float32 of the photo, in pixels of the product in its kept picture.
    """

    item_id: int
    object_xy: NDArray[np.float32]
    photo_xy: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RecognizedItem:
    """One thing on the counter.

    `decision` is `accepted` if one label is possible, `ambiguous` if several are and a person should choose, `unknown`
    if none is. `label` is the named product (of an ambiguous item: the likeliest one) and None for an unknown one.
    `similarity` is that of the best match, of a named item the best with its label; None when the gallery is empty.
    `detection_score` is the detector's, None for the whole image. `matches` are the neighbors, best first. `score` is
    what a calibrated threshold is compared with (`shitu_edge.calibration.score`), None if none was. `candidates` are
    the nearest labels, one item each, those that are possible first: at least five, if there are so many. `negative`
    says that the object is unknown because it resembles an item that was enrolled as not a product. `probability` is
    that of the label, None unless the gallery supports it. `verified_by` is `local_features` if they were compared in a
    second look, `inliers` how many points agree with the label's best photo, of an unknown object with that of what it
    resembles most, and `evidence` which.
    """

    box_xyxy: Box
    decision: Decision
    label: str | None
    similarity: float | None
    detection_score: float | None
    matches: tuple[Match, ...]
    score: float | None = None
    candidates: tuple[LabelCandidate, ...] = ()
    negative: bool = False
    probability: float | None = None
    verified_by: Literal["local_features"] | None = None
    inliers: int = 0
    evidence: Evidence | None = field(default=None, repr=False, compare=False)


LookState = Literal["ready", "off", "preparing", "no_opencv", "no_file", "few_pictures", "no_gain", "by_similarity"]


@dataclass(frozen=True, slots=True)
class SecondLook:
    """Whether local features were compared where the vectors leave a doubt.

    Attributes:
        state: `ready`; `off`: by choice; `preparing`: features of the gallery's photos, and scores with them, are being
            derived in the background; `no_opencv`: the extra `opencv` is not installed; `no_file`: there is no gallery
            file; `few_pictures`: fewer than 20 products, or than four in five, have one, too few to derive a threshold
            from; `no_gain`: it would name fewer of the gallery's own products; `by_similarity`: no score is calibrated,
            or the call has stated a similarity threshold.
        looked: objects that were looked at twice.
        left_out: those that the deadline left no time for.
    """

    state: LookState
    looked: int = 0
    left_out: int = 0


CalibrationState = Literal["calibrated", "thin", "stale", "uncalibrated"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """From which score a gallery names a product, and what is kept by that.

    Attributes:
        state: `calibrated`; `thin`: so few products cannot tell the rate, it is estimated; `stale`: a tenth of the
            gallery has changed since, and it is derived again in the background; `uncalibrated`: the gallery says too
            little or is not calibrated yet, and the bundle's fallback decides: its cohort or, where there is no
            threshold, its similarity threshold.
        max_false_accept: largest share of unknown objects that get a name, 0..1; None if `max_wrong` is stated.
        confidence: that this is kept, 0..1; None for a best estimate.
        threshold: score from which a product is named; None if there is none.
        products: labels of the gallery, and of labeled queries, that it was derived from.
        revision: of the gallery, the central one if there is a local layer, that it was derived from.
        max_wrong: largest share of all objects that get a wrong name, 0..1; None if `max_false_accept` is stated.
        unknown_share: share of the objects that are not enrolled, 0..1, which `max_wrong` and probabilities assume.
        queries: number of labeled queries, kept in the gallery, that it was derived from too.
        foreign: number of foreign products of the bundle that it was derived from, because the gallery's are too few.
        looked: the threshold is for scores after a second look.
    """

    state: CalibrationState
    max_false_accept: float | None
    confidence: float | None
    threshold: float | None
    products: int
    revision: int
    max_wrong: float | None = None
    unknown_share: float = 0.1
    queries: int = 0
    foreign: int = 0
    looked: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """Answer to the question if an object has a given label.

    Attributes:
        label: the claimed one.
        decision: `accepted`; `rejected`; `undecided`: nothing says from which score a label may be believed.
        similarity: cosine to the nearest item of the label.
        score: of the label, as in `RecognizedItem`.
        threshold: score from which it is accepted, None if undecided.
        nearest: the labels that the object resembles most, best first.
        calibration: what the threshold was derived from, and the largest share of other products that are accepted.
    """

    label: str
    decision: Literal["accepted", "rejected", "undecided"]
    similarity: float
    score: float
    threshold: float | None
    nearest: tuple[LabelCandidate, ...]
    calibration: Calibration | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A box that is not an item, and why.

    `below_threshold`: the whole image, which is no object by itself, resembles nothing in the gallery.
    `no_texture`: the whole image resembles something, but shows a single color, as any blank one does.
    `negative`: the whole image resembles an item that was enrolled as not a product.
    `suppressed`: overlaps an item that is surer. `deadline`: there was no time left to look at it. `max_boxes`: found,
    but surer ones were as many as were to be looked at. `outside`: its center lies outside the view's region.
    `ignored`: its center lies in a zone to ignore. `too_small`, `too_large`: smaller or larger than the view allows.
    `background`: shows just what the empty counter shows there. `no_product`: resembles nothing in the gallery, and
    shows no product by the bundle's objectness network, or is the box around several.
    """

    box_xyxy: Box
    reason: DropReason
    label: str | None
    similarity: float | None
    detection_score: float | None


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Wall-clock milliseconds by stage. `total` is measured on its own, so it includes what lies between them."""

    decode: float
    detect: float
    extract: float
    search: float
    verify: float
    decide: float
    total: float


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What ran a network. `fallback` says why the preferred engine did not, None when it did."""

    engine: str
    version: str
    precision: str
    threads: int
    fallback: str | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made an answer.

    Attributes:
        bundle, bundle_digest: the bundle's name, and the SHA-256 of its `bundle.json`.
        detector, extractor: what ran the networks.
        gallery_revision: the number of changes committed to the gallery.
        decoder: `Pillow` or `OpenCV` with its version; None for an array, which needs none.
        resizer: `OpenCV` with its version, or `shitu-edge`, whose own resizing is used without OpenCV.
        local_revision: as `gallery_revision`, of the local layer; None without one.
    """

    bundle: str
    bundle_digest: str
    detector: EngineInfo
    extractor: EngineInfo
    gallery_revision: int
    decoder: str | None
    resizer: str
    local_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Recognition:
    """The answer to one image of `width` × `height` pixels: items surest first, and every box that is not an item.

    `threshold` is the score from which an object gets a label, as `calibration` derived it; the similarity, if there is
    no calibration or it has no threshold. `hint` says what to change about the camera, if the image suits the detector
    badly; else None. `tiles_left_out` are the view's tiles that the deadline left no time for: what is small may be
    missed there.

    It keeps a reference to the image as it was given, for `crop`: a path costs nothing, encoded bytes, a PIL image or
    an array live as long as the answer. A pickled or copied answer leaves the image behind.
    """

    items: tuple[RecognizedItem, ...]
    dropped: tuple[Dropped, ...]
    width: int
    height: int
    stage_ms: StageTimes
    made_by: Provenance
    calibration: Calibration | None = None
    threshold: float | None = None
    second_look: SecondLook = SecondLook("off")
    hint: str | None = None
    tiles_left_out: int = 0
    _cut: Callable[[Box], NDArray[np.uint8]] | None = field(default=None, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        parts = self.items, self.dropped, self.width, self.height, self.stage_ms, self.made_by
        return Recognition, (*parts, self.calibration, self.threshold, self.second_look, self.hint, self.tiles_left_out)

    def crop(self, item: RecognizedItem | Dropped | Box) -> NDArray[np.uint8]:
        """Return the pixels (h, w, 3) uint8 RGB of the image inside a box, at full resolution.

        Each call decodes the image again. A JPEG over the limit of pixels is cropped at the reduced scale that the
        limit allows.

        Args:
            item: a recognized item, a dropped box, or a box in pixels of the image.

        Raises:
            ImageError: the image cannot be read again: it was a stream, its file has changed, or the answer is a copy.
            OptionError: the box has no area inside the image.
        """
        if self._cut is None:
            raise ImageError("a copied answer is without its image: crop the answer that recognize() returned")
        return self._cut(item.box_xyxy if isinstance(item, (RecognizedItem, Dropped)) else item)

    def explain(self) -> tuple[str, ...]:
        """Return lines for a person: what each box resembles, what was required, and what would change the decision."""
        from .explanation import explain

        return explain(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as values that `json.dumps` takes, without the points of its evidence."""
        items = tuple(replace(item, evidence=None) for item in self.items)
        values = asdict(replace(self, items=items, _cut=None))
        del values["_cut"]
        for item in values["items"]:
            del item["evidence"]
        return values
