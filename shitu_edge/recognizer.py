"""Photo in, named products out: the stages in order, their times, the deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bundle import Bundle, DecisionPolicy, InputSpec, Precision
from .bundle.networks import cache_folder, open_bundle, open_network
from .bundle.profile import Profile
from .engines import EngineName, Resources
from .errors import GalleryError, ImageError
from .gallery import Gallery, GallerySearch, NewGalleryItem
from .gallery.protocol import require_extractor
from .imaging.geometry import Boxes, clip_boxes
from .imaging.texture import has_texture
from .ranges import (
    require_flag,
    require_instance,
    require_number,
    require_one_of,
    require_path,
    require_threads,
    require_whole,
    shown,
)
from .results import Box, Detections, Dropped, DropReason, Provenance, Recognition, StageTimes
from .stages.decide import Candidate, decide
from .stages.decode import DEFAULT_LIMITS, DecodedImage, DecodeLimits, DecodeMode, Source, decode
from .stages.detect import Detector
from .stages.extract import Extractor
from .stages.extract import crop as cut_out
from .system.cpu import read_cpu
from .system.forked import Home
from .system.memory import release_freed_memory
from .system.workers import Workers

_MAX_STREAMS = 4
_WARM_UP_WAVES = 3
_RIVALS = 50
_FOLLOW = 0.2
"""How fast the expected time of a wave of crops follows the measured one."""
# A JPEG may be decoded at reduced scale as long as its shorter side keeps twice the pixels that the detector takes, and
# enough for things of a sixth of that side to fill the extractor's input.
_SHARPER_THAN_DETECTOR = 2
_CROPS_A_SIDE = 6


@dataclass(frozen=True, slots=True)
class _Regions:
    """Boxes (N, 4) to look at in decoded pixels, best first, and their detection scores: None for the whole image."""

    boxes_xyxy: Boxes
    scores: tuple[float | None, ...]


class Recognizer:
    """A detector, an extractor and a gallery, open and warm. A context manager; safe from several threads."""

    def __init__(
        self,
        bundle: Bundle,
        detector: Detector,
        extractor: Extractor,
        gallery: GallerySearch | None,
        threads: int,
        limits: DecodeLimits,
        wave_ms: float,
        resources: ExitStack,
    ) -> None:
        """Put opened and warm parts together; most callers want `Recognizer.open`."""
        self.bundle = bundle
        self.gallery = gallery
        self.threads = threads
        self._limits = limits
        self._detector = detector
        self._extractor = extractor
        self._resources = resources
        self._warm_ms = self._wave_ms = wave_ms
        self._home = Home()

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        gallery: GallerySearch | str | os.PathLike[str] | None = None,
        *,
        engine: EngineName = "auto",
        precision: str | tuple[str, str] | None = None,
        threads: int | None = None,
        profile: Profile | str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> Recognizer:
        """Load the networks of a bundle, warm them up and open a gallery.

        Args:
            bundle: folder or known name; `$SHITU_EDGE_BUNDLE` or the built-in bundle when None.
            gallery: file, or what is open already and stays the caller's to close (a `Gallery`, or another
                `GallerySearch` such as a `MilvusGallery`); None to detect and embed only.
            engine: `auto` tries OpenVINO, then onnxruntime, and logs why; another name is a demand.
            precision: `fp32`, `fp16`, `int8` or `bf16` for both networks, or two: detector's and extractor's;
                each one's default in the bundle when None.
            threads: for inference; one a physical core that this process may use when None.
            profile: file that `shitu-edge tune` wrote on this machine; it decides what the three above leave open.
            cache: folder for compiled models; the user's cache folder when None (see `engines.cache.user_cache`), and
                none at all when empty.
            limits: images that are larger are refused.

        Raises:
            BundleError, EngineError: the networks cannot be loaded.
            GalleryError: the gallery cannot be opened; FingerprintError: another extractor made it.
            OptionError: an option is not what it may be; the profile cannot be read, or was measured with another
                bundle.
        """
        _check_places(bundle, gallery, profile, cache)
        _check_running(engine, precision, threads, limits)
        opened = open_bundle(bundle)
        manifest = opened.manifest
        if profile is not None:
            profile = profile if isinstance(profile, Profile) else Profile.read(profile)
            profile.require(opened)
            engine, precision, threads = profile.complete(engine, precision, threads)
        of_detector, of_extractor = precision if isinstance(precision, tuple) else (precision, precision)
        threads = threads or read_cpu().threads
        streams = min(threads, _MAX_STREAMS)
        folder = cache_folder(cache)
        # The gallery is read while the networks are compiled; left in this order, it is closed however that ends.
        with ExitStack() as stack, Workers(1) as beside:
            opening = beside.submit(_opened, gallery, stack)
            session = open_network(
                opened, manifest.extractor.network, engine, of_extractor, Resources(threads, streams, folder)
            )
            extractor = Extractor(session, manifest.extractor, streams)
            stack.callback(extractor.close)
            session = open_network(
                opened, manifest.detector.network, engine, of_detector, Resources(threads, 1, folder)
            )
            detector = Detector(session, manifest.detector, extractor.workers)
            found = opening.result()
            if found is not None:
                require_extractor(found, manifest.extractor.network.name, manifest.extractor.fingerprint)
            wave_ms = _warm_up(opened, detector, extractor)
            release_freed_memory()
            return cls(opened, detector, extractor, found, threads, limits, wave_ms, stack.pop_all())

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End worker threads and close the gallery, if `open` opened it."""
        if self._home.is_here:  # else the threads are those of the process that this one was forked off
            self._resources.close()

    @property
    def enough_side(self) -> int:
        """Pixels of the shorter side from which on recognition hardly gains (`benchmarks/decode.py`)."""
        manifest = self.bundle.manifest
        whole, crop = (max(part.network.input.shape()[1:]) for part in (manifest.detector, manifest.extractor))
        return max(_SHARPER_THAN_DETECTOR * whole, _CROPS_A_SIDE * crop)

    def recognize(
        self,
        image: Source,
        *,
        deadline_ms: float | None = None,
        max_boxes: int | None = None,
        detection_threshold: float | None = None,
        policy: DecisionPolicy | None = None,
        decode_mode: DecodeMode = "auto",
    ) -> Recognition:
        """Say which products an image shows, where, how sure, and what it does not know.

        Args:
            image: path, encoded bytes, binary file, PIL image, or (H, W, 3) uint8 RGB array.
            deadline_ms: time there is; the best-scored boxes come first, and those it leaves no time for are dropped.
            max_boxes, detection_threshold: how many detections to look at, at least 1, from which score, 0..1; the
                bundle's when None. The others over the threshold are dropped as `max_boxes`.
            policy: how to decide; the bundle's when None.
            decode_mode: `auto` may decode large JPEGs at reduced scale, `exact` decodes every pixel.

        Raises:
            ImageError: the image cannot be used.
            OptionError: an option is outside what it may be.
            GalleryError: the recognizer was opened without a gallery, or the gallery cannot be read.
            EngineError, EmbeddingError: a network fails.
        """
        gallery = self._require_gallery()
        _check_detecting(max_boxes, detection_threshold)
        if deadline_ms is not None:
            require_number("deadline_ms", deadline_ms, 0)
        if policy is None:
            policy = self.bundle.manifest.policy
        require_instance("policy", policy, DecisionPolicy, "a DecisionPolicy")
        clock = _Clock()
        with clock.stage("decode"):
            decoded = self._decode(image, decode_mode)
        with clock.stage("detect"):
            found = self._detector.detect_all(decoded.pixels_rgb, detection_threshold)
            count = self._detector.max_boxes if max_boxes is None else max_boxes
            regions = _regions(found.best(count), decoded, policy)
        with clock.stage("extract"):
            rows = self._extract(decoded, regions, clock, deadline_ms)
        with clock.stage("search"):
            revision, matches = gallery.search_with_revision(rows, _looked_at(policy), self._extractor.workers)
        with clock.stage("decide"):
            boxes = _in_original_pixels(regions.boxes_xyxy, decoded)
            seen = list(map(Candidate, boxes, regions.scores, matches))
            items, dropped = decide(seen, policy, partial(has_texture, decoded.pixels_rgb))
            dropped += _unseen(boxes[len(rows) :], regions.scores[len(rows) :], "deadline")
            if len(found) > count:
                beyond = _in_original_pixels(found.boxes_xyxy[count:], decoded)
                dropped += _unseen(beyond, found.scores[count:].tolist(), "max_boxes")
        times = clock.times()
        return Recognition(items, dropped, decoded.width, decoded.height, times, self._provenance(revision))

    def detect(
        self, image: Source, *, max_boxes: int | None = None, detection_threshold: float | None = None
    ) -> Detections:
        """Return what the detector finds alone, best first, in pixels of the image; see `recognize`."""
        _check_detecting(max_boxes, detection_threshold)
        decoded = self._decode(image, "auto")
        found = self._detector.detect(decoded.pixels_rgb, score_threshold=detection_threshold, max_boxes=max_boxes)
        boxes = np.array(_in_original_pixels(found.boxes_xyxy, decoded), np.float32).reshape(-1, 4)
        return replace(found, boxes_xyxy=boxes)

    def embed(self, image: Source, boxes_xyxy: ArrayLike | None = None, *, crop: bool = False) -> NDArray[np.float32]:
        """Return unit rows (N, D) float32 of boxes (N, 4) in pixels of the image; without any one row (1, D).

        That one is of the whole image or, with `crop`, of the product that it shows: the surest box near the middle,
        or all of it where the detector finds nothing.

        Raises:
            ImageError: the image cannot be used, or the boxes have another shape or lie outside of it.
            OptionError: `crop` is not a flag.
        """
        require_flag("crop", crop)
        decoded = self._decode(image, "exact")
        return self._extractor.embed(decoded.pixels_rgb, self._boxes_to_embed(decoded, boxes_xyxy, crop))

    def embed_product(self, image: Source, box_xyxy: Box | None = None, *, crop: bool = False) -> NDArray[np.float32]:
        """Return the unit row (D,) float32 that a gallery item is made of: of a box, or of one image as in `embed`.

        Raises:
            ImageError: the image cannot be used, the box lies outside of it, or it shows a single color there, which
                would resemble any blank image.
            OptionError: `crop` is not a flag.
        """
        require_flag("crop", crop)
        decoded = self._decode(image, "exact")
        boxes = None if box_xyxy is None else [box_xyxy]
        pixels_rgb = cut_out(decoded.pixels_rgb, self._boxes_to_embed(decoded, boxes, crop)[0])
        if not has_texture(pixels_rgb):
            name = os.fspath(image) if isinstance(image, (str, os.PathLike)) else "the image"
            raise ImageError(f"{name}: shows a single color, so it cannot tell products apart; take another photo")
        row: NDArray[np.float32] = self._extractor.embed_crops([pixels_rgb])[0]
        return row

    def create_gallery(self, path: str | os.PathLike[str], *, background: bool = True) -> Gallery:
        """Make an empty gallery file for this recognizer's embeddings, and open it; see `Gallery.open`.

        Raises:
            GalleryError: the file exists already or cannot be written.
            OptionError: that is no path.
        """
        require_path("path", path)
        extractor = self.bundle.manifest.extractor
        return Gallery.create(
            path,
            extractor=extractor.network.name,
            fingerprint=extractor.fingerprint,
            dim=extractor.dim,
            background=background,
        )

    def enroll(self, label: str, image: Source, box_xyxy: Box | None = None, *, crop: bool = False) -> int:
        """Add a product to the gallery from a photo, or the part of it inside a box; return the item's id.

        With `crop` the detector looks for the product in the photo (see `embed`).

        The item counts from the next search on, in every process that has the gallery open.

        Raises:
            GalleryError: no gallery file is open here, or it cannot be written.
            ImageError: the image cannot be used, the box lies outside of it, or it shows a single color there.
            OptionError: the label is not text, or `crop` not a flag.
        """
        require_instance("label", label, str, "text")
        gallery = self._require_gallery()
        if not isinstance(gallery, Gallery):
            raise GalleryError("products are enrolled in a gallery file; open it, and push what it holds")
        source = os.fspath(image) if isinstance(image, (str, os.PathLike)) else ""
        embedding = self.embed_product(image, box_xyxy, crop=crop)
        return gallery.add([NewGalleryItem(label, str(source), embedding)], note=f"enrolled {label}")[0]

    def _boxes_to_embed(self, decoded: DecodedImage, boxes_xyxy: ArrayLike | None, crop: bool) -> Boxes:
        if boxes_xyxy is not None:
            return _checked_boxes(boxes_xyxy, decoded)
        if crop:
            return _box_of_product(self._detector.detect(decoded.pixels_rgb, max_boxes=_RIVALS), decoded)
        return _whole(decoded)

    def _decode(self, image: Source, mode: DecodeMode) -> DecodedImage:
        self._home.require("the recognizer")
        require_one_of("decode_mode", mode, get_args(DecodeMode))
        return decode(image, enough_side=self.enough_side if mode == "auto" else None, limits=self._limits)

    def _extract(
        self, decoded: DecodedImage, regions: _Regions, clock: _Clock, deadline_ms: float | None
    ) -> NDArray[np.float32]:
        """Embed the regions in order, as many as the deadline leaves time for; return their rows."""
        boxes = regions.boxes_xyxy
        if deadline_ms is None:
            return self._extractor.embed(decoded.pixels_rgb, boxes)
        rows = [np.empty((0, self.bundle.manifest.extractor.dim), np.float32)]
        wave = self._extractor.workers.count
        for start in range(0, len(boxes), wave):
            before = clock.elapsed_ms()
            if before + self._wave_ms > deadline_ms:
                # Back toward what a quiet machine needs, or one slow wave would keep all later ones from being tried.
                self._wave_ms += _FOLLOW * (self._warm_ms - self._wave_ms)
                break
            rows.append(self._extractor.embed(decoded.pixels_rgb, boxes[start : start + wave]))
            self._wave_ms += _FOLLOW * (clock.elapsed_ms() - before - self._wave_ms)
        return np.concatenate(rows)

    def _require_gallery(self) -> GallerySearch:
        if self.gallery is None:
            raise GalleryError("no gallery is open: pass gallery= to Recognizer.open")
        return self.gallery

    def _provenance(self, gallery_revision: int) -> Provenance:
        return Provenance(
            self.bundle.manifest.name,
            self.bundle.digest,
            self._detector.engine,
            self._extractor.engine,
            gallery_revision,
        )


class _Clock:
    """Stage times of one call."""

    def __init__(self) -> None:
        self._start = time.perf_counter_ns()
        self._stages: dict[str, float] = {}

    def elapsed_ms(self) -> float:
        return (time.perf_counter_ns() - self._start) / 1e6

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        before = self.elapsed_ms()
        yield
        self._stages[name] = self.elapsed_ms() - before

    def times(self) -> StageTimes:
        return StageTimes(**self._stages, total=self.elapsed_ms())


def _check_places(bundle: object, gallery: object, profile: object, cache: object) -> None:
    """Check that what lies on disk is named by a path, or is open already."""
    for name, value in (("bundle", bundle), ("cache", cache)):
        if value is not None:
            require_path(name, value)
    if gallery is not None and not hasattr(gallery, "search_with_revision"):
        require_path("gallery", gallery, " or an open gallery")
    if profile is not None and not isinstance(profile, Profile):
        require_path("profile", profile, " or a Profile")


def _check_running(engine: object, precision: object, threads: object, limits: object) -> None:
    require_one_of("engine", engine, get_args(EngineName))
    of_each = precision if isinstance(precision, tuple) and len(precision) == 2 else (precision,)
    for one in of_each if precision is not None else ():
        require_one_of("precision", one, get_args(Precision))
    require_threads(threads)
    require_instance("limits", limits, DecodeLimits, "DecodeLimits")


def _check_detecting(max_boxes: object, detection_threshold: object) -> None:
    if max_boxes is not None:
        require_whole("max_boxes", max_boxes, 1)
    if detection_threshold is not None:
        require_number("detection_threshold", detection_threshold, 0, 1)


def _opened(gallery: GallerySearch | str | os.PathLike[str] | None, stack: ExitStack) -> GallerySearch | None:
    """Open a gallery that is named by its file, to be closed with the rest."""
    if isinstance(gallery, (str, os.PathLike)):
        return stack.enter_context(Gallery.open(gallery))
    return gallery


def _warm_up(bundle: Bundle, detector: Detector, extractor: Extractor) -> float:
    """Run the networks, whose first inference is the slowest; return the milliseconds of a wave of crops when warm."""
    detector.detect(_noise(bundle.manifest.detector.network.input))
    crops = [_noise(bundle.manifest.extractor.network.input)] * extractor.workers.count
    times = []
    for _ in range(_WARM_UP_WAVES):
        clock = _Clock()
        extractor.embed_crops(crops)
        times.append(clock.elapsed_ms())
    return min(times)


def _noise(spec: InputSpec) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8)


def _regions(found: Detections, decoded: DecodedImage, policy: DecisionPolicy) -> _Regions:
    """Return the detections and, if the policy asks for it, the whole image after them."""
    boxes, scores = found.boxes_xyxy, tuple(map(float, found.scores))
    if policy.whole_image == "always" or (policy.whole_image == "fallback" and not len(found)):
        return _Regions(np.concatenate([boxes, _whole(decoded)]), (*scores, None))
    return _Regions(boxes, scores)


def _whole(decoded: DecodedImage) -> Boxes:
    height, width = decoded.pixels_rgb.shape[:2]
    return np.array([[0, 0, width, height]], np.float32)


def _box_of_product(found: Detections, decoded: DecodedImage) -> Boxes:
    """Return the box (1, 4) of what a photo of one product shows, in decoded pixels; without detections all of it.

    Who takes such a photo puts the product in the middle: each score counts the less, the further the box's center is
    from the image's, down to 0.29 of it in a corner.
    """
    if not len(found):
        return _whole(decoded)
    height, width = decoded.pixels_rgb.shape[:2]
    boxes = found.boxes_xyxy
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.array([width, height], np.float32)
    best = int(np.argmax(found.scores * (1 - np.hypot(*(centers - 0.5).T))))
    return boxes[[best]]


def _looked_at(policy: DecisionPolicy) -> int:
    """Return how many neighbors to ask for: with a margin enough to meet another label behind many of the first."""
    return max(policy.neighbors, _RIVALS) if policy.margin > 0 else policy.neighbors


def _in_original_pixels(boxes_xyxy: Boxes, decoded: DecodedImage) -> list[Box]:
    scale_x, scale_y = decoded.scale
    scaled = boxes_xyxy * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in clip_boxes(scaled, decoded.width, decoded.height).tolist()]


def _unseen(boxes: Sequence[Box], scores: Sequence[float | None], reason: DropReason) -> tuple[Dropped, ...]:
    return tuple(Dropped(box, reason, None, None, score) for box, score in zip(boxes, scores, strict=True))


def _checked_boxes(boxes_xyxy: ArrayLike, decoded: DecodedImage) -> Boxes:
    try:
        with np.errstate(over="ignore"):  # infinity is refused below
            boxes = np.asarray(boxes_xyxy, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError(f"expected boxes of shape (N, 4), found {shown(boxes_xyxy)}") from error
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ImageError(f"expected finite boxes of shape (N, 4), found {boxes.shape}")
    clipped = clip_boxes(boxes, decoded.width, decoded.height)
    if (clipped[:, 2:] - clipped[:, :2] < 1).any():
        raise ImageError(f"a box has no area inside the image of {decoded.width} × {decoded.height} pixels")
    return clipped
