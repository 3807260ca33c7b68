"""What callers give a recognizer, checked before anything is done with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from ..bundle import DecisionPolicy, Precision, WholeImage
from ..bundle.profile import Profile
from ..engines import EngineName
from ..errors import OptionError
from ..gallery import Gallery
from ..ranges import (
    require_flag,
    require_instance,
    require_number,
    require_one_of,
    require_path,
    require_threads,
    require_whole,
)
from .decode import DecodeLimits, DecodeMode
from .second_look import LookMode
from .view import View

_SEARCHES = ("meta", "search_with_revision", "close")
"""Names of the protocol `GallerySearch`."""


def check_places(bundle: object, gallery: object, local: object, profile: object, cache: object) -> None:
    """Check that what lies on disk is named by a path, or is open already."""
    for name, value in (("bundle", bundle), ("cache", cache)):
        if value is not None:
            require_path(name, value)
    is_open = not isinstance(gallery, type) and all(hasattr(gallery, name) for name in _SEARCHES)
    if gallery is not None and not is_open:
        require_path("gallery", gallery, " or an open gallery")
    if local is not None and not isinstance(local, Gallery):
        require_path("local", local, " or an open Gallery")
    if profile is not None and not isinstance(profile, Profile):
        require_path("profile", profile, " or a Profile")


def check_running(
    engine: object, precision: object, threads: object, limits: object, second_look: object, view: object
) -> None:
    """Check how networks are to be run, how large images may be, and when a second look is taken, at what."""
    require_one_of("engine", engine, get_args(EngineName))
    of_each = precision if isinstance(precision, tuple) and len(precision) == 2 else (precision,)
    for one in of_each if precision is not None else ():
        require_one_of("precision", one, get_args(Precision))
    require_threads(threads)
    require_instance("limits", limits, DecodeLimits, "DecodeLimits")
    require_one_of("second_look", second_look, get_args(LookMode))
    require_instance("view", view, (View, type(None)), "a View")


def check_call(
    deadline_ms: object,
    max_boxes: object,
    detection_threshold: object,
    decode_mode: object = "auto",
    view: object = None,
) -> None:
    """Check how long a call may take, which detections it looks at, how it decodes, and which part counts."""
    require_instance("view", view, (View, type(None)), "a View")
    if deadline_ms is not None:
        require_number("deadline_ms", deadline_ms, 0)
    require_one_of("decode_mode", decode_mode, get_args(DecodeMode))
    if max_boxes is not None:
        require_whole("max_boxes", max_boxes, 1)
    if detection_threshold is not None:
        require_number("detection_threshold", detection_threshold, 0, 1)


def check_given(boxes_xyxy: object, max_boxes: object, detection_threshold: object, view: object) -> None:
    """Check that nothing is said about detections if their boxes are given."""
    options = {"max_boxes": max_boxes, "detection_threshold": detection_threshold, "view": view}
    for name, value in options.items():
        if boxes_xyxy is not None and value is not None:
            raise OptionError(f"{name}: is about what the detector finds; expected none with boxes_xyxy")


def check_enrolling(label: object, crop: object, picture: object, source: object, author: object, note: object) -> None:
    """Check what a gallery item and its revision are to say."""
    require_instance("label", label, str, "text")
    require_flag("crop", crop)
    require_flag("picture", picture)
    if source is not None:
        require_instance("source", source, str, "text")
    require_instance("author", author, str, "text")
    require_instance("note", note, str, "text")


def overridden(
    policy: DecisionPolicy,
    threshold: float | None = None,
    margin: float | None = None,
    neighbors: int | None = None,
    vote: bool | None = None,
    suppression_iou: float | None = None,
    whole_image: WholeImage | None = None,
    max_false_accept: float | None = None,
    confidence: float | None = None,
) -> DecisionPolicy:
    """Return a policy with the values that are given, those that are not None, in place of its own.

    A threshold takes the place of a calibrated one.

    Raises:
        OptionError: a value is outside its range.
    """
    given: dict[str, Any] = {
        "similarity_threshold": threshold,
        "margin": margin,
        "neighbors": neighbors,
        "vote": vote,
        "suppression_iou": suppression_iou,
        "whole_image": whole_image,
        "max_false_accept": max_false_accept,
        "confidence": confidence,
    }
    if all(value is None for value in given.values()):
        return policy
    if threshold is not None:
        require_number("threshold", threshold, -1, 1)  # else it would be refused by the name that bundle.json has
        if max_false_accept is not None or confidence is not None:
            raise OptionError("expected either a threshold or max_false_accept, which derives one from the gallery")
        policy = replace(policy, max_false_accept=None, max_wrong=None, confidence=None)
    elif confidence is not None and max_false_accept is None and policy.target is None:
        raise OptionError("expected max_false_accept with a confidence")
    elif max_false_accept is not None:
        policy = replace(policy, max_wrong=None)
    return replace(policy, **{name: value for name, value in given.items() if value is not None})
