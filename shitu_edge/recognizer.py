"""Photo in, named products out: the stages in order, their times, the deadline."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle, Network, Rule, bundle_folders
from .decide import Candidate, decide
from .decode import DEFAULT_LIMITS, DecodeLimits, DecodeMode, Picture, Source, decode
from .detect import Detector
from .engines import EngineName, Model, ModelFiles, Resources, open_session
from .engines.cache import user_cache
from .engines.cpu import read_cpu
from .errors import BundleError, GalleryError, ImageError
from .extract import Extractor
from .gallery import Gallery, NewItem
from .geometry import Boxes, clip_boxes
from .results import Box, Detections, Dropped, Provenance, Recognition, StageTimes

DEFAULT_BUNDLE = "shitu-small"
BUNDLE_VARIABLE = "SHITU_EDGE_BUNDLE"

_MAX_STREAMS = 4
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
        gallery: Gallery | None,
        threads: int,
        resources: ExitStack,
    ) -> None:
        """Put opened parts together and warm them up; most callers want `Recognizer.open`."""
        self.bundle = bundle
        self.gallery = gallery
        self.threads = threads
        self._detector = detector
        self._extractor = extractor
        self._resources = resources
        self._wave_ms = self._warm_up()

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        gallery: Gallery | str | os.PathLike[str] | None = None,
        *,
        engine: EngineName = "auto",
        precision: str | None = None,
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> Recognizer:
        """Load the networks of a bundle, warm them up and open a gallery.

        Args:
            bundle: folder or known name; `$SHITU_EDGE_BUNDLE` or the built-in bundle when None.
            gallery: file, or an opened `Gallery`, which then stays the caller's to close; None to detect and embed
                only.
            engine: `auto` tries OpenVINO, then onnxruntime, and logs why; another name is a demand.
            precision: `fp32`, `int8` or `bf16` for both networks; each one's default in the bundle when None.
            threads: for inference; one a physical core that this process may use when None.
            cache: folder for compiled models; the user's cache folder when None (see `engines.cache.user_cache`), and
                none at all when empty.

        Raises:
            BundleError, EngineError: the networks cannot be loaded.
            GalleryError: the gallery cannot be opened; FingerprintError: another extractor made it.
        """
        opened = _open_bundle(bundle or os.environ.get(BUNDLE_VARIABLE))
        manifest = opened.manifest
        threads = threads or read_cpu().threads
        streams = min(threads, _MAX_STREAMS)
        folder = user_cache() if cache is None else Path(cache) if os.fspath(cache) else None
        with ExitStack() as stack:
            if gallery is not None and not isinstance(gallery, Gallery):
                gallery = stack.enter_context(Gallery.open(gallery))
            if gallery is not None:
                gallery.require(manifest.extractor.network.name, manifest.extractor.fingerprint)
            model = _model(opened, manifest.detector.network, precision)
            detector = Detector(open_session(model, engine, Resources(threads, 1, folder)), manifest.detector)
            model = _model(opened, manifest.extractor.network, precision)
            session = open_session(model, engine, Resources(threads, streams, folder))
            extractor = Extractor(session, manifest.extractor, streams)
            stack.callback(extractor.close)
            recognizer = cls(opened, detector, extractor, gallery, threads, stack)
            recognizer._resources = stack.pop_all()  # from here on, its own to close
            return recognizer

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End worker threads and close the gallery, if `open` opened it."""
        self._resources.close()

    @property
    def enough_side(self) -> int:
        """Pixels of the shorter side from which on the networks see no difference (`benchmarks/decode.py`)."""
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
        rule: Rule | None = None,
        decode_mode: DecodeMode = "auto",
        limits: DecodeLimits = DEFAULT_LIMITS,
    ) -> Recognition:
        """Say which products a picture shows, where, how sure, and what it does not know.

        Args:
            image: path, encoded bytes, binary file, PIL image, or (H, W, 3) uint8 RGB array.
            deadline_ms: time there is; the best-scored boxes come first, and those it leaves no time for are dropped.
            max_boxes, detection_threshold: how many detections to look at, from which score; the bundle's when None.
            rule: how to decide; the bundle's when None.
            decode_mode: `auto` may decode large JPEGs at reduced scale, `exact` decodes every pixel.
            limits: larger pictures are refused.

        Raises:
            ImageError: the picture cannot be used.
            GalleryError: the recogniser was opened without a gallery, or the gallery cannot be read.
            EngineError, EmbeddingError: a network fails.
        """
        gallery = self._require_gallery()
        rule = rule or self.bundle.manifest.recognition
        clock = _Clock()
        with clock.stage("decode"):
            picture = self._decode(image, decode_mode, limits)
        with clock.stage("detect"):
            found = self._detector.detect(picture.pixels_rgb, score_threshold=detection_threshold, max_boxes=max_boxes)
            regions = _regions(found, picture, rule)
        with clock.stage("extract"):
            rows = self._extract(picture, regions, clock, deadline_ms)
        with clock.stage("search"):
            matches = gallery.search(rows, rule.neighbours) if len(rows) else []
        with clock.stage("decide"):
            boxes = _in_original_pixels(regions.boxes_xyxy, picture)
            seen = map(Candidate, boxes, regions.scores, matches)
            items, dropped = decide(list(seen), rule)
            late = zip(boxes[len(rows) :], regions.scores[len(rows) :], strict=True)
            dropped += tuple(Dropped(box, "deadline", None, None, score) for box, score in late)
        times = clock.times()
        return Recognition(items, dropped, picture.width, picture.height, times, self._provenance(gallery))

    def detect(
        self, image: Source, *, max_boxes: int | None = None, detection_threshold: float | None = None
    ) -> Detections:
        """Return what the detector finds alone, best first, in pixels of the picture; see `recognize`."""
        picture = self._decode(image, "auto", DEFAULT_LIMITS)
        found = self._detector.detect(picture.pixels_rgb, score_threshold=detection_threshold, max_boxes=max_boxes)
        return found.scaled(*picture.scale)

    def embed(self, image: Source, boxes_xyxy: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return unit rows (N, D) float32 of boxes (N, 4) in pixels of the picture; of the whole one (1, D) without.

        Raises:
            ImageError: the picture cannot be used, or the boxes have another shape or lie outside of it.
        """
        picture = decode(image)
        if boxes_xyxy is None:
            return self._extractor.embed_crops([picture.pixels_rgb])
        return self._extractor.embed(picture.pixels_rgb, _checked_boxes(boxes_xyxy, picture))

    def enroll(self, label: str, image: Source, box_xyxy: Box | None = None) -> int:
        """Add a product to the gallery from a photo, or the part of it inside a box; return the item's id.

        The item counts from the next search on, in every process that has the gallery open.
        """
        gallery = self._require_gallery()
        boxes = None if box_xyxy is None else np.array([box_xyxy], np.float32)
        source = os.fspath(image) if isinstance(image, (str, os.PathLike)) else ""
        embedding = self.embed(image, boxes)[0]
        return gallery.add([NewItem(label, str(source), embedding)], note=f"enrolled {label}")[0]

    def _decode(self, image: Source, mode: DecodeMode, limits: DecodeLimits) -> Picture:
        return decode(image, enough_side=self.enough_side if mode == "auto" else None, limits=limits)

    def _extract(
        self, picture: Picture, regions: _Regions, clock: _Clock, deadline_ms: float | None
    ) -> NDArray[np.float32]:
        """Embed the regions in order, as many as the deadline leaves time for; return their rows."""
        boxes = regions.boxes_xyxy
        if deadline_ms is None:
            return self._extractor.embed(picture.pixels_rgb, boxes)
        rows = [np.empty((0, self.bundle.manifest.extractor.dim), np.float32)]
        wave = self._extractor.streams
        for start in range(0, len(boxes), wave):
            before = clock.elapsed_ms()
            if before + self._wave_ms > deadline_ms:
                break
            rows.append(self._extractor.embed(picture.pixels_rgb, boxes[start : start + wave]))
            # A running mean that follows the machine's load within a few pictures.
            self._wave_ms += 0.2 * (clock.elapsed_ms() - before - self._wave_ms)
        return np.concatenate(rows)

    def _warm_up(self) -> float:
        """Run each network once and the extractor again, and return the milliseconds of its second, warm run."""
        eye = self.bundle.manifest.detector.network.input
        noise = np.random.default_rng(0).integers(0, 256, (eye.height, eye.width, 3), np.uint8)
        self._detector.detect(noise)
        crops = [noise] * self._extractor.streams
        self._extractor.embed_crops(crops)
        clock = _Clock()
        self._extractor.embed_crops(crops)
        return clock.elapsed_ms()

    def _require_gallery(self) -> Gallery:
        if self.gallery is None:
            raise GalleryError("no gallery is open: pass gallery= to Recognizer.open")
        return self.gallery

    def _provenance(self, gallery: Gallery) -> Provenance:
        return Provenance(
            self.bundle.manifest.name,
            self.bundle.digest,
            self._detector.engine,
            self._extractor.engine,
            gallery.revision,
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


def _open_bundle(bundle: str | os.PathLike[str] | None) -> Bundle:
    if bundle:
        return Bundle.open(bundle)
    if DEFAULT_BUNDLE not in {folder.name for folder in bundle_folders()}:
        raise BundleError(
            f"no model bundle was named, and there is no {DEFAULT_BUNDLE} here to take by default: name a folder "
            f"(--models, or ${BUNDLE_VARIABLE})"
        )
    return Bundle.open(DEFAULT_BUNDLE)


def _model(bundle: Bundle, network: Network, precision: str | None) -> Model:
    """Say what to load of a network; bf16 is a way to compute with the fp32 files."""
    precision = precision or network.default_precision
    stored = "fp32" if precision == "bf16" else precision
    formats: Mapping[str, object] = network.files.get(stored, {})
    if not formats:
        raise BundleError(f"{bundle.folder}: {network.name} has no {stored} files, only {', '.join(network.files)}")
    shapes: dict[str, tuple[int, ...]] = {network.input.name: network.input.shape()}
    for name, value in network.constants.items():
        shapes[name] = np.shape(value)
    return Model(network.name, precision, tuple(formats), partial(_locate, bundle, network, stored), shapes)


def _locate(bundle: Bundle, network: Network, precision: str, file_format: str) -> ModelFiles:
    paths = bundle.locate_files(network, precision, file_format)
    return ModelFiles(paths, " ".join(file.sha256 for file in network.files[precision][file_format]))


def _regions(found: Detections, picture: Picture, rule: Rule) -> _Regions:
    """Return the detections and, as the rule's policy has it, the whole image after them."""
    boxes, scores = found.boxes_xyxy, tuple(map(float, found.scores))
    if rule.whole_image == "always" or (rule.whole_image == "fallback" and not len(found)):
        height, width = picture.pixels_rgb.shape[:2]
        boxes = np.concatenate([boxes, np.array([[0, 0, width, height]], np.float32)])
        return _Regions(boxes, (*scores, None))
    return _Regions(boxes, scores)


def _in_original_pixels(boxes_xyxy: Boxes, picture: Picture) -> list[Box]:
    scale_x, scale_y = picture.scale
    scaled = boxes_xyxy * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in clip_boxes(scaled, picture.width, picture.height).tolist()]


def _checked_boxes(boxes_xyxy: NDArray[np.float32], picture: Picture) -> Boxes:
    boxes = np.asarray(boxes_xyxy, np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ImageError(f"expected finite boxes of shape (N, 4), found {boxes.shape}")
    clipped = clip_boxes(boxes, picture.width, picture.height)
    if (clipped[:, 2:] - clipped[:, :2] < 1).any():
        raise ImageError(f"a box has no area inside the picture of {picture.width} × {picture.height} pixels")
    return clipped
