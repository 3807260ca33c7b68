"""Image in, named products out: the stages in order, and what else an open recognizer can do."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import repeat

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bundle import DecisionPolicy, WholeImage
from .bundle.profile import Profile
from .calibration import NEIGHBORS
from .engines import EngineName
from .errors import ClosedError, GalleryError
from .gallery import Gallery, GallerySearch, NewGalleryItem
from .gallery.labels import NEGATIVE
from .gallery.layers import Layers
from .imaging.texture import has_texture
from .opening import Parts, enough_side, open_parts
from .ranges import require_flag, require_instance, require_number, require_path, require_whole
from .results import Box, Calibration, Detections, LookState, Match, Recognition, Verification
from .stages.arguments import check_call, check_enrolling, check_given, check_places, check_running, overridden
from .stages.claim import check_claim
from .stages.deadline import Clock, DeadlineExtractor
from .stages.decide import Candidate, asked_neighbors, decide
from .stages.decode import DEFAULT_LIMITS, DecodedImage, DecodeLimits, DecodeMode, Source, decode
from .stages.hint import hint
from .stages.moved import has_moved
from .stages.objectness import unnamed
from .stages.original import Original, path_of, source_sha256
from .stages.photo_features import product_pixels
from .stages.regions import Product, boxes_to_embed, cut_product, in_original_pixels, late, regions, surplus
from .stages.second_look import LookMode
from .stages.survey import given, survey
from .stages.view import WHOLE_IMAGE, View
from .stream import DEFAULT_STREAM, Frames, Sight, Stream, StreamOptions, Watch
from .system.forked import Home

_MOST_ID = (1 << 63) - 1
"""As SQLite's integers."""


class Recognizer:
    """A detector, an extractor and a gallery, open and warm. A context manager; safe from several threads.

    Attributes:
        bundle: what it was opened with.
        policy: the bundle's decision policy; a target that the gallery keeps takes the place of its own, and
            `recognize` overrides single values.
        view: the part of an image that counts, unless a call says otherwise.
        gallery_search: the gallery that is searched, a file or a backend such as `MilvusGallery`; None without one. A
            local layer is searched with it.
        threads: for inference.
        extractor_info: engine, version and precision of the extractor.
        enough_side: pixels of the shorter side from which on recognition hardly gains (`benchmarks/decode.py`).
    """

    def __init__(self, parts: Parts, limits: DecodeLimits, view: View = WHOLE_IMAGE) -> None:
        """Put opened and warm parts together; most callers want `Recognizer.open`."""
        self.bundle = parts.bundle
        self.policy: DecisionPolicy = parts.bundle.manifest.policy
        self.view = view
        self.gallery_search = parts.gallery
        self.threads = parts.threads
        self.extractor_info = parts.extractor.engine
        self.enough_side = enough_side(parts.bundle.manifest)
        self._limits = limits
        self._detector = parts.detector
        self._extractor = parts.extractor
        self._in_time = DeadlineExtractor(parts.extractor, parts.bundle.manifest.extractor.dim, parts.wave_ms)
        self._parts = parts
        self._home = Home()
        self._closed = False

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        gallery: GallerySearch | str | os.PathLike[str] | None = None,
        *,
        local: Gallery | str | os.PathLike[str] | None = None,
        engine: EngineName = "auto",
        precision: str | tuple[str, str] | None = None,
        threads: int | None = None,
        profile: Profile | str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        limits: DecodeLimits = DEFAULT_LIMITS,
        second_look: LookMode = "auto",
        view: View | None = None,
    ) -> Recognizer:
        """Load the networks of a bundle, warm them up and open a gallery.

        Args:
            bundle: folder or known name; `$SHITU_EDGE_BUNDLE` or the built-in bundle when None.
            gallery: file, or what is open already and stays the caller's to close (a `Gallery`, or another
                `GallerySearch` such as a `MilvusGallery`); None to detect and embed only.
            local: file of a local layer, created if missing, or the open `Gallery`: what is enrolled here goes into it,
                and patches of the gallery's original still apply. The gallery must be a file then.
            engine: `auto` tries OpenVINO, then onnxruntime, and logs why; another name is a demand.
            precision: `fp32`, `fp16`, `int8` or `bf16` for both networks, or two: the detector's and the extractor's;
                the bundle's defaults when None.
            threads: for inference, 1 to 1024; one per physical core that this process may use when None.
            profile: file that `shitu-edge tune` wrote on this machine; it decides what the three above leave open.
            cache: folder for compiled models; the user's cache folder when None, and none at all when empty.
            limits: images that are larger are refused.
            second_look: compare local features with the gallery's photos: `auto` where the score leaves a doubt, if
                OpenCV is installed (extra `opencv`); `always` for every box; `off`. See `Recognition.second_look`.
            view: the part of a mounted camera's images that counts, for `recognize` and `detect`; all of it when None.

        Raises:
            BundleError, EngineError: the networks cannot be loaded.
            GalleryError: the gallery or the local layer cannot be opened, or both are the same; FingerprintError:
                another extractor made it.
            OptionError: an option is outside its range, or the profile cannot be read or is for another bundle.
        """
        check_places(bundle, gallery, local, profile, cache)
        check_running(engine, precision, threads, limits, second_look, view)
        parts = open_parts(bundle, gallery, local, engine, precision, threads, profile, cache, second_look)
        return cls(parts, limits, view or WHOLE_IMAGE)

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End worker threads and close the gallery and the local layer, if `open` opened them."""
        if self._home.is_here:  # else the threads are those of the process that this one was forked off
            self._closed = True
            self._parts.resources.close()

    @property
    def gallery(self) -> Gallery:
        """The gallery file, to be looked into and changed; the central one if there is a local layer.

        Raises:
            GalleryError: none is open, or a backend is searched that is not a file; see `gallery_search`.
        """
        found = self._require_gallery()
        if not isinstance(found, Gallery):
            raise GalleryError(f"{found}: is not a gallery file; change the file, then push it again")
        return found

    @property
    def local(self) -> Gallery:
        """The local layer, which `enroll` adds to.

        Raises:
            GalleryError: it was opened without one.
        """
        if self._parts.layers is None or self._parts.layers.local is None:
            raise GalleryError("no local layer is open: pass local= to Recognizer.open")
        return self._parts.layers.local

    def recognize(
        self,
        image: Source,
        *,
        boxes_xyxy: ArrayLike | None = None,
        deadline_ms: float | None = None,
        max_boxes: int | None = None,
        detection_threshold: float | None = None,
        threshold: float | None = None,
        margin: float | None = None,
        neighbors: int | None = None,
        vote: bool | None = None,
        suppression_iou: float | None = None,
        whole_image: WholeImage | None = None,
        max_false_accept: float | None = None,
        confidence: float | None = None,
        decode_mode: DecodeMode = "auto",
        view: View | None = None,
    ) -> Recognition:
        """Say which products an image shows, where, how sure, and what it does not know.

        Args:
            image: path, encoded bytes, binary file, PIL image, or (H, W, 3) uint8 RGB array.
            boxes_xyxy: boxes (N, 4) in pixels of the image, such as another detector's: they are looked at instead of
                what the detector finds, and have the detection score 1. The whole image is not looked at then, the
                recognizer's view does not count, and options about detections are refused.
            deadline_ms: time budget; the best-scored boxes come first, and those it leaves no time for are dropped; it
                also leaves out tiles.
            max_boxes, detection_threshold: how many detections to look at, at least 1, from which score, 0..1; the
                bundle's when None, and faint ones where most objects are small. The others over the threshold are
                dropped as `max_boxes`.
            threshold, margin, neighbors, vote, suppression_iou, whole_image, max_false_accept, confidence: override
                single values of the bundle's policy, see `DecisionPolicy`; None keeps a value. `threshold` is its
                `similarity_threshold`, and then decides instead of a calibrated one.
            decode_mode: `auto` may decode large JPEGs at reduced scale, `exact` decodes every pixel.
            view: the part of the image that counts, instead of `Recognizer.view`.

        Raises:
            ImageError: the image cannot be used.
            OptionError: an option is outside what it may be, the products are too few for the confidence, or the boxes
                have another shape or lie outside of the image.
            GalleryError: the recognizer was opened without a gallery, or the gallery cannot be read.
            EngineError, EmbeddingError: a network fails.
        """
        self._require_open()
        gallery, clock = self._require_gallery(), Clock()
        check_call(deadline_ms, max_boxes, detection_threshold, decode_mode, view)
        check_given(boxes_xyxy, max_boxes, detection_threshold, view)
        view = (view or self.view) if boxes_xyxy is None else WHOLE_IMAGE
        policy = overridden(
            self._parts.policy(),
            threshold,
            margin,
            neighbors,
            vote,
            suppression_iou,
            whole_image,
            max_false_accept,
            confidence,
        )
        if boxes_xyxy is not None:
            policy = replace(policy, whole_image="never")
        stated = max_false_accept is not None or confidence is not None
        calibration = self._parts.calibration(policy, stated=stated)
        with clock.stage("decode"):
            original = Original.of(image, self._limits)
            decoded = self._decode(image, decode_mode, view.zoom)
        with clock.stage("detect"):
            if boxes_xyxy is None:
                spare = self._in_time.spare(clock, deadline_ms)
                faint = self._parts.bundle.manifest.detector.faint_threshold
                least = faint if detection_threshold is None else detection_threshold
                seen = survey(self._detector, decoded, view, least, spare)
                if detection_threshold is None:
                    seen = seen.without_faint(self._detector.score_threshold)
                count = self._detector.max_boxes if max_boxes is None else max_boxes
            else:
                seen = given(boxes_xyxy, decoded)
                count = len(seen.found)
            chosen = regions(seen.found.best(count), seen.area_xyxy, policy, alone=not seen.others)
        with clock.stage("extract"):
            rows = self._in_time.embed(decoded.pixels_rgb, chosen.boxes_xyxy, clock, deadline_ms)
        with clock.stage("search"):
            nearest = self._parts.search(gallery, rows, asked_neighbors(policy))
        naming = self._parts.naming(calibration)
        with clock.stage("verify"):
            boxes = in_original_pixels(chosen.boxes_xyxy, decoded)
            left_out = unnamed(None if boxes_xyxy is not None else self._parts.objectness, rows, chosen)
            objects = list(map(Candidate, boxes, chosen.scores, nearest.matches, repeat(None), left_out))
            looks = self._parts.look_again(gallery, objects, chosen, decoded, policy, naming, clock, deadline_ms)
        with clock.stage("decide"):
            required = policy.similarity_threshold if naming.least_score is None else naming.least_score
            items, dropped = decide(looks.candidates, policy, partial(has_texture, seen.pixels(decoded)), naming)
            dropped += late(chosen, boxes, len(rows)) + surplus(seen.found, count, decoded) + seen.dropped(decoded)
        made_by = self._parts.provenance(nearest, decoded.decoder)
        size, advice = (decoded.width, decoded.height), hint(seen, self._detector)
        times, crop = clock.times(), original.crop
        return Recognition(
            items, dropped, *size, times, made_by, calibration, required, looks.done, advice, seen.left_out, crop
        )

    def stream(self, options: StreamOptions = DEFAULT_STREAM, *, view: View | None = None) -> Stream:
        """Return a stream, which is fed the frames of one mounted camera and answers with tracks, events and a basket.

        Args:
            options: how it looks and decides.
            view: the part of its frames that counts, instead of `Recognizer.view`.

        Raises:
            GalleryError: the recognizer was opened without a gallery, or the gallery cannot be read.
            OptionError: an argument is of the wrong kind, or the products are too few for the rate.
        """
        require_instance("options", options, StreamOptions, "StreamOptions")
        require_instance("view", view, (View, type(None)), "a View")
        self._require_open()
        gallery, view = self._require_gallery(), view or self.view
        sight = Sight(self._parts, gallery, options, view, self._limits, self.enough_side, self._require_open)
        sight.rules()  # refuses now what it would refuse at the first frame
        return Stream(sight, options, None if view.empty is None else partial(has_moved, view.empty))

    def watch(
        self,
        frames: Frames,
        *,
        live: bool = False,
        fps: float = 10.0,
        options: StreamOptions = DEFAULT_STREAM,
        view: View | None = None,
    ) -> Watch:
        """Iterate over what happens on the counter of a mounted camera: `StreamEvent`s, until the frames end.

        Args:
            frames: an iterable of images as in `recognize`, or of pairs of an image and its time stamp in seconds: a
                generator that reads a camera, a list, `folder_frames`, `camera_frames`.
            live: take the newest frame and count those before it as late; else every frame is looked at. A thread reads
                the frames then, until they end or the watch is closed.
            fps: frames per second of those without a time stamp, 0.01 to 1000; live ones have that of their arrival.
            options, view: as in `stream`.

        Raises:
            GalleryError, OptionError: as by `stream`; iterating raises as `Stream.feed`, and what the frames raise.
        """
        require_flag("live", live)
        require_number("fps", fps, 0.01, 1000)
        require_instance("frames", frames, Iterable, "an iterable of frames")
        return Watch(self.stream(options, view=view), frames, live=live, fps=fps)

    def calibration(
        self, max_false_accept: float | None = None, confidence: float | None = None, *, wait: bool = False
    ) -> Calibration | None:
        """Return from which score a product is named, for the rate given or the policy's; None if none is stated.

        `wait` waits for a large gallery whose threshold is still being derived (seconds); `recognize` does not.

        Raises:
            OptionError: the gallery has too few products for the rate at this confidence.
            GalleryError: the gallery cannot be read, or none is open.
        """
        self._require_open()
        self._require_gallery()
        policy = overridden(self._parts.policy(), max_false_accept=max_false_accept, confidence=confidence)
        stated = max_false_accept is not None or confidence is not None
        return self._parts.calibration(policy, stated=stated, wait=wait)

    def verify(
        self,
        label: str,
        image: Source,
        box_xyxy: Box | None = None,
        *,
        crop: bool = True,
        max_false_accept: float | None = None,
    ) -> Verification:
        """Say whether an image, or the part of it inside a box, shows the product of a given label.

        A till asks this after a barcode was scanned. Of other products, given a label at random, at most the stated
        share is accepted; a best estimate.

        Args:
            label: the claimed one, which the gallery or its local layer has.
            image: as in `recognize`.
            box_xyxy: the part of it that shows the product; what the detector finds when None, as in `enroll`.
            crop: without a box: False for the whole image.
            max_false_accept: 0..1; what the gallery or the bundle states when None, or 1 %.

        Raises:
            GalleryError: no item has the label, no gallery file is open, or it cannot be read.
            ImageError: the image cannot be used, or shows a single color there.
            OptionError: the box lies outside of the image, or an argument is of the wrong kind.
        """
        require_instance("label", label, str, "text")
        layers = self._require_layers()
        policy = overridden(self._parts.policy(), max_false_accept=max_false_accept)
        row = self.embed_product(image, box_xyxy, crop=crop)
        items = layers.items(label)
        if not items:
            raise GalleryError(f"no item has the label {label!r}; enroll the product first")
        similarity = float((layers.embeddings([item.id for item in items]) @ row).max())
        [matches] = layers.search(row[None], NEIGHBORS).matches
        return check_claim(items[0].label, similarity, matches, self._parts.verification(policy))

    def detect(
        self,
        image: Source,
        *,
        max_boxes: int | None = None,
        detection_threshold: float | None = None,
        view: View | None = None,
    ) -> Detections:
        """Return what the detector finds alone, best first, in pixels of the image; see `recognize`."""
        check_call(None, max_boxes, detection_threshold, view=view)
        view = view or self.view
        decoded = self._decode(image, "auto", view.zoom)
        found = survey(self._detector, decoded, view, detection_threshold).found
        found = found.best(self._detector.max_boxes if max_boxes is None else max_boxes)
        boxes = np.array(in_original_pixels(found.boxes_xyxy, decoded), np.float32).reshape(-1, 4)
        return replace(found, boxes_xyxy=boxes)

    def embed(self, image: Source, boxes_xyxy: ArrayLike | None = None, *, crop: bool = False) -> NDArray[np.float32]:
        """Return unit rows (N, D) float32 of boxes (N, 4) in pixels of the image; without any one row (1, D).

        That one is of the whole image or, with `crop`, of the product that it shows: the surest box near the middle, if
        it covers 5 to 80 % of the image, else all of it.

        Raises:
            ImageError: the image cannot be used.
            OptionError: the boxes have another shape or lie outside of the image, or `crop` is not a flag.
        """
        require_flag("crop", crop)
        decoded = self._decode(image, "exact")
        boxes = boxes_to_embed(decoded, boxes_xyxy, self._detector if crop else None)
        return self._extractor.embed(decoded.pixels_rgb, boxes)

    def embed_product(self, image: Source, box_xyxy: Box | None = None, *, crop: bool = True) -> NDArray[np.float32]:
        """Return the unit row (D,) float32 of `cut_product`: what a gallery item is made of; raises as it does."""
        row: NDArray[np.float32] = self.embed(self.cut_product(image, box_xyxy, crop=crop).pixels_rgb)[0]
        return row

    def nearest(
        self, image: Source, boxes_xyxy: ArrayLike | None = None, *, crop: bool = False, k: int = NEIGHBORS
    ) -> list[tuple[Match, ...]]:
        """Return the `k` nearest gallery items of boxes (N, 4), or of what `embed` takes without any, best first.

        If a second look can be taken (`look_state`), it is taken at each box, and what it supports comes first: the
        list is then longer, by what agrees with the object turned.

        Raises:
            GalleryError: no gallery is open, or it cannot be read.
            ImageError, OptionError: as by `embed`.
        """
        require_flag("crop", crop)
        gallery, clock = self._require_gallery(), Clock()
        decoded = self._decode(image, "exact")
        boxes = boxes_to_embed(decoded, boxes_xyxy, self._detector if crop else None)
        found = self._parts.search(gallery, self._extractor.embed(decoded.pixels_rgb, boxes), k)
        seen = list(map(Candidate, in_original_pixels(boxes, decoded), [None] * len(boxes), found.matches))
        if self.look_state == "ready":
            seen = list(self._parts.look_at(gallery, seen, boxes, range(len(seen)), decoded, clock, None).candidates)
        return [one.matches for one in seen]

    @property
    def look_state(self) -> LookState:
        """Whether a second look is taken at present; see `SecondLook`."""
        calibration = self._parts.calibration(self._parts.policy(), stated=False)
        return self._parts.look_state(self._parts.naming(calibration))

    def cut_product(self, image: Source, box_xyxy: Box | None = None, *, crop: bool = True) -> Product:
        """Return the part of an image that a gallery item is made of.

        Args:
            image: as in `recognize`.
            box_xyxy: the part; when None it is the product that the detector finds, as in `embed`.
            crop: without a box: False for the whole image.

        Raises:
            ImageError: the image cannot be used, or shows a single color there, which would resemble any blank image.
            OptionError: the box lies outside of the image, or `crop` is not a flag.
        """
        require_flag("crop", crop)
        detector, name = self._detector if crop else None, path_of(image) or "the image"
        return cut_product(self._decode(image, "exact"), box_xyxy, detector, name)

    def photo(self, item_id: int) -> NDArray[np.uint8] | None:
        """Return the kept picture of an item without its margin, (h, w, 3) uint8 RGB; None if it has none.

        Raises:
            GalleryError: no gallery file is open, or it cannot be read.
        """
        require_whole("item_id", item_id, -_MOST_ID, _MOST_ID)
        origin = self._require_layers().origins([item_id]).get(item_id)
        return None if origin is None or not origin.picture else product_pixels(origin)

    def create_gallery(self, path: str | os.PathLike[str], *, background: bool = True) -> Gallery:
        """Make an empty gallery file for this recognizer's embeddings, and open it; see `Gallery.open`.

        Raises:
            GalleryError: the file exists already or cannot be written.
            OptionError: that is no path.
        """
        require_path("path", path)
        spec = self.bundle.manifest.extractor
        name, fingerprint = spec.network.name, spec.fingerprint
        return Gallery.create(path, extractor=name, fingerprint=fingerprint, dim=spec.dim, background=background)

    def enroll(
        self,
        label: str,
        image: Source,
        box_xyxy: Box | None = None,
        *,
        crop: bool = True,
        picture: bool = True,
        source: str | None = None,
        author: str = "",
        note: str = "",
    ) -> int:
        """Add a product to the gallery from an image, or the part of it inside a box; return the item's id.

        With a local layer, it is added to that, and the id is that of the local gallery. The item counts from the next
        search on, in every process that has the gallery open.

        Args:
            box_xyxy: the part of it that shows the product; what the detector finds when None (see `embed`).
            crop: without a box: False to enroll the whole image. It is whole anyway with the label `NEGATIVE`.
            picture: keep a small picture of it in the gallery.
            source: where the image came from, kept with the item; the image's path, if it has one, when None.
            author, note: of the revision; an empty note becomes `enrolled LABEL`.

        Raises:
            GalleryError: no gallery file is open here, or it cannot be written.
            ImageError: the image cannot be used, or shows a single color there.
            OptionError: the box lies outside of the image, or another argument is of the wrong kind.
        """
        check_enrolling(label, crop, picture, source, author, note)
        layers = self._require_layers()
        gallery = layers.central if layers.local is None else layers.local
        product = self.cut_product(image, box_xyxy, crop=crop and label != NEGATIVE)
        origin = product.origin(source_sha256(image), picture=picture)
        named = path_of(image) if source is None else source
        item = NewGalleryItem(label, named, self.embed(product.pixels_rgb)[0], origin)
        [number] = gallery.add([item], author=author, note=note or f"enrolled {label}")
        if self._parts.looks is not None and picture:
            self._parts.looks.prepare(number if layers.local is None else -number)
        return number

    def _decode(self, image: Source, mode: DecodeMode, zoom: float = 1.0) -> DecodedImage:
        self._require_open()
        enough = math.ceil(self.enough_side * zoom) if mode == "auto" else None
        return decode(image, enough_side=enough, limits=self._limits)

    def _require_open(self) -> None:
        self._home.require("the recognizer")
        if self._closed:
            raise ClosedError("the recognizer is closed")

    def _require_layers(self) -> Layers:
        """Return the gallery file and its local layer; raises as `gallery`."""
        return Layers(self.gallery) if self._parts.layers is None else self._parts.layers

    def _require_gallery(self) -> GallerySearch:
        if self.gallery_search is None:
            raise GalleryError("no gallery is open: pass gallery= to Recognizer.open")
        return self.gallery_search
