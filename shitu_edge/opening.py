"""A bundle's networks and a gallery, opened and warm: the parts of a recognizer."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle, DecisionPolicy, InputSpec, Manifest, Target
from .bundle.networks import cache_folder, open_bundle, open_network
from .bundle.profile import Profile
from .calibration import BY_SIMILARITY, Calibrator, Naming, score_of
from .engines import EngineName, Resources, Session
from .errors import GalleryError
from .gallery import Gallery, GallerySearch, Meta
from .gallery.layers import LayerMatches, Layers, open_local
from .gallery.protocol import require_extractor
from .imaging.geometry import Boxes
from .imaging.local_features import can_find_features
from .imaging.opencv import opencv, opencv_version
from .imaging.resample import resizer
from .imaging.rgb import PILLOW
from .results import Calibration, EngineInfo, LookState, Match, Provenance, SecondLook
from .stages.deadline import Clock
from .stages.decide import Candidate, is_doubtful
from .stages.decode import DecodedImage
from .stages.detect import Detector
from .stages.extract import Extractor
from .stages.objectness import Objectness
from .stages.photo_features import opened_photos
from .stages.regions import Regions
from .stages.second_look import LookMode, Looks, SecondLooks
from .system.cpu import read_cpu
from .system.memory import release_freed_memory
from .system.workers import Workers

_log = logging.getLogger(__name__)

_MAX_STREAMS = 4
_WARM_UP_WAVES = 3
# A JPEG may be decoded at reduced scale as long as its shorter side keeps twice the pixels that the detector takes, and
# enough for objects of a sixth of that side to fill the extractor's input.
_SHARPER_THAN_DETECTOR = 2
_CROPS_PER_SIDE = 6
_ONE_PERCENT = Target(max_false_accept=0.01)


@dataclass(frozen=True, slots=True)
class Parts:
    """Opened and warm parts.

    `layers` are the gallery, if it is a file, and what lies on it; `looks` is None if no second look can or is to be
    taken, `objectness` if the bundle has no such network; `wave_ms` the milliseconds of a wave of crops; `resources`
    closes what was opened.
    """

    bundle: Bundle
    detector: Detector
    extractor: Extractor
    gallery: GallerySearch | None
    layers: Layers | None
    calibrator: Calibrator | None
    looks: SecondLooks | None
    objectness: Objectness | None
    look_mode: LookMode
    threads: int
    wave_ms: float
    resources: ExitStack

    def policy(self) -> DecisionPolicy:
        """Return the bundle's policy, with the target that the gallery keeps, if it keeps one."""
        policy = self.bundle.manifest.policy
        target = None if self.calibrator is None else self.calibrator.stored().target
        return policy if target is None else replace(policy, **asdict(target))

    def calibration(self, policy: DecisionPolicy, *, stated: bool, wait: bool = False) -> Calibration | None:
        """Return the gallery's calibration for a policy; None if it states no target, or the gallery is not a file.

        Args:
            policy: with the target.
            stated: the target is that of a call, which is refused if the products are too few, and not one kept.
            wait: for a calibration of the present revision.
        """
        if self.calibrator is None or policy.target is None:
            return None
        return (self.calibrator.at if stated else self.calibrator.kept_at)(policy.target, wait=wait)

    def verification(self, policy: DecisionPolicy) -> Calibration | None:
        """Return the calibration for whether an object has a given label; for a share of 1 % if the policy states none.

        None if the gallery is not a file.
        """
        return None if self.calibrator is None else self.calibrator.at_verification(policy.target or _ONE_PERCENT)

    def naming(self, calibration: Calibration | None) -> Naming:
        """Return how objects get their names by a calibration."""
        return BY_SIMILARITY if self.calibrator is None else self.calibrator.naming(calibration)

    def look_state(self, naming: Naming) -> LookState:
        """Return whether a second look is taken, and if not, why."""
        if self.look_mode == "off":
            return "off"
        if not can_find_features():
            return "no_opencv"
        if self.calibrator is None:
            return "no_file"
        if naming.least_score is None:
            return "by_similarity"
        if naming.looked:
            return "ready"
        if self.calibrator.has_looked:
            return "no_gain"
        return "preparing" if self.calibrator.is_looking else "few_pictures"

    def look_again(
        self,
        gallery: GallerySearch,
        seen: Sequence[Candidate],
        chosen: Regions,
        decoded: DecodedImage,
        policy: DecisionPolicy,
        naming: Naming,
        clock: Clock,
        deadline_ms: float | None,
    ) -> Looks:
        """Return the objects of an image after a second look at those whose score leaves a doubt."""
        state = self.look_state(naming)
        if state != "ready" or self.looks is None:
            return Looks(seen, SecondLook(state))
        always = self.look_mode == "always"
        doubts = [number for number, one in enumerate(seen) if is_doubtful(one.matches, policy, naming, always=always)]
        doubts.sort(key=lambda number: -score_of(seen[number].matches))
        return self.look_at(gallery, seen, chosen.boxes_xyxy, doubts, decoded, clock, deadline_ms)

    def look_at(
        self,
        gallery: GallerySearch,
        seen: Sequence[Candidate],
        boxes_xyxy: Boxes,
        numbers: Sequence[int],
        decoded: DecodedImage,
        clock: Clock,
        deadline_ms: float | None,
    ) -> Looks:
        """Return the objects of an image after a second look at those with these numbers; see `SecondLooks.look`."""
        assert self.looks is not None, "ask `look_state` first"

        def search(rows: NDArray[np.float32], k: int) -> Sequence[tuple[Match, ...]]:
            return self.search(gallery, rows, k).matches

        return self.looks.look(seen, boxes_xyxy, numbers, decoded, search, clock, deadline_ms)

    def search(self, gallery: GallerySearch, rows: NDArray[np.float32], k: int) -> LayerMatches:
        """Return the `k` nearest items of the gallery and its local layer to each row (Q, D)."""
        if self.layers is not None:
            return self.layers.search(rows, k, self.extractor.workers)
        return LayerMatches.of(gallery, rows, k, self.extractor.workers)

    def provenance(self, found: LayerMatches, decoder: str | None) -> Provenance:
        """Return what makes an answer."""
        networks = self.detector.engine, self.extractor.engine
        name, digest = self.bundle.manifest.name, self.bundle.digest
        return Provenance(name, digest, *networks, found.revision, decoder, resizer(), found.local_revision)


def open_parts(
    bundle: str | os.PathLike[str] | None,
    gallery: GallerySearch | str | os.PathLike[str] | None,
    local: Gallery | str | os.PathLike[str] | None,
    engine: EngineName,
    precision: str | tuple[str, str] | None,
    threads: int | None,
    profile: Profile | str | os.PathLike[str] | None,
    cache: str | os.PathLike[str] | None,
    second_look: LookMode,
) -> Parts:
    """Open a bundle's networks and, at the same time, a gallery; see `Recognizer.open`."""
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
        session = open_network(opened, manifest.detector.network, engine, of_detector, Resources(threads, 1, folder))
        reopen = _in_other_shapes(opened, session.info, Resources(threads, 1, folder))
        detector = Detector(session, manifest.detector, extractor.workers, reopen)
        found, spec = opening.result(), manifest.extractor
        meta, named = (
            Meta(spec.network.name, spec.fingerprint, spec.dim),
            os.fspath(bundle) if bundle else manifest.name,
        )
        if found is not None:
            require_extractor(found, meta.extractor, meta.fingerprint, named)
        layers = _layers(found, local, meta, named, stack)
        wave_ms = _warm_up(opened, detector, extractor)
        release_freed_memory()
        calibrator = looks = None
        if layers is not None:
            photos = None if second_look == "off" else stack.enter_context(opened_photos(layers))
            if photos is not None:
                looks = SecondLooks(photos, extractor)
            calibrator = Calibrator(layers, folder, opened.cohort(), extractor.engine.precision, photos=photos)
            stack.callback(calibrator.close)
        weights = opened.objectness()
        parts = Parts(
            opened,
            detector,
            extractor,
            found,
            layers,
            calibrator,
            looks,
            None if weights is None else Objectness(weights),
            second_look,
            threads,
            wave_ms,
            stack,
        )
        parts.naming(parts.calibration(parts.policy(), stated=False))
        _log_opened(opened, detector, extractor, found, layers)
        return replace(parts, resources=stack.pop_all())


def enough_side(manifest: Manifest) -> int:
    """Return the pixels of an image's shorter side from which on recognition hardly gains."""
    image, crop = (max(part.network.input.shape()[1:]) for part in (manifest.detector, manifest.extractor))
    return max(_SHARPER_THAN_DETECTOR * image, _CROPS_PER_SIDE * crop)


def _in_other_shapes(bundle: Bundle, info: EngineInfo, resources: Resources) -> Callable[[InputSpec], Session]:
    """Return what opens the detector for another input, on the same engine and in the same precision."""
    network, engine = bundle.manifest.detector.network, cast(EngineName, info.engine)

    def reopen(image: InputSpec) -> Session:
        return open_network(bundle, replace(network, input=image), engine, info.precision, resources)

    return reopen


def _opened(gallery: GallerySearch | str | os.PathLike[str] | None, stack: ExitStack) -> GallerySearch | None:
    """Open a gallery that is named by its file, to be closed with the rest."""
    if isinstance(gallery, (str, os.PathLike)):
        return stack.enter_context(Gallery.open(gallery))
    return gallery


def _layers(
    gallery: GallerySearch | None,
    local: Gallery | str | os.PathLike[str] | None,
    meta: Meta,
    bundle: str,
    stack: ExitStack,
) -> Layers | None:
    """Return the gallery and its local layer, which is closed with the rest if it is named by its file.

    None if the gallery is not a file.
    """
    if local is None:
        return Layers(gallery) if isinstance(gallery, Gallery) else None
    if not isinstance(gallery, Gallery):
        found = "none" if gallery is None else f"{gallery}, which is not one"
        raise GalleryError(f"{local}: a local layer lies on a gallery file; expected one as gallery, found {found}")
    opened = open_local(local, gallery, meta, bundle)
    if opened is not local:
        stack.enter_context(opened)
    return Layers(gallery, opened)


def _warm_up(bundle: Bundle, detector: Detector, extractor: Extractor) -> float:
    """Run the networks, whose first inference is the slowest; return the milliseconds of a wave of crops when warm."""
    detector.detect(_noise(bundle.manifest.detector.network.input))
    crops = [_noise(bundle.manifest.extractor.network.input)] * extractor.workers.count
    times = []
    for _ in range(_WARM_UP_WAVES):
        clock = Clock()
        extractor.embed_crops(crops)
        times.append(clock.elapsed_ms())
    return min(times)


def _noise(spec: InputSpec) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8)


def _log_opened(
    bundle: Bundle, detector: Detector, extractor: Extractor, gallery: GallerySearch | None, layers: Layers | None
) -> None:
    """Log what was opened, a line per part."""
    cv2 = opencv()
    _log.info("bundle %s (%s) from %s", bundle.manifest.name, bundle.digest[:12], bundle.folder)
    _log.info("detector: %s", _engine(detector.engine))
    _log.info("extractor: %s", _engine(extractor.engine))
    decoders = PILLOW if cv2 is None else f"{opencv_version(cv2)} (plain JPEGs) and {PILLOW}"
    _log.info("images are decoded by %s and resized by %s", decoders, resizer())
    if gallery is None:
        _log.info("no gallery: detects and embeds only")
    elif layers is not None:
        for what, file in (("gallery", layers.central), ("local layer", layers.local)):
            if file is not None:
                _log.info("%s %s: revision %d, items: %d", what, file, file.revision, len(file))
    else:
        _log.info("gallery %s", gallery)


def _engine(info: EngineInfo) -> str:
    return f"{info.engine} {info.version}, {info.precision}, threads: {info.threads}"
