"""`shitu-edge recognize`: images in, recognized items out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..calibration import FEWEST_PRODUCTS
from ..errors import ImageError
from ..gallery.labels import NEGATIVE
from ..inputs.folders import images_in
from ..recognizer import Recognizer
from ..results import Calibration, Recognition, RecognizedItem
from ..stages.decode import DEFAULT_LIMITS, DecodeLimits, DecodeMode
from .camera import Camera, Region, Tiles, view_of
from .drawings import drawing_paths
from .options import (
    AsJson,
    Confidence,
    Engine,
    EngineOption,
    GalleryArgument,
    LocalLayer,
    Look,
    MaxFalseAccept,
    MaxMegapixels,
    Models,
    PrecisionOption,
    ProfileOption,
    SecondLookOption,
    Threads,
    decode_limits,
    finite,
    open_recognizer,
)
from .printing import count, print_left_out, print_line, print_message, print_note, print_skipped
from .tables import print_json, print_table

STDIN = "-"


class WholeImage(str, Enum):
    """Values of --whole-image."""

    always = "always"
    fallback = "fallback"
    never = "never"


class Decode(str, Enum):
    """Values of --decode."""

    auto = "auto"
    exact = "exact"


def recognize(
    gallery: GalleryArgument,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Images, folders of images, or - for one image on stdin."),
    ],
    local: LocalLayer = None,
    models: Models = None,
    as_json: AsJson = False,
    draw_to: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            metavar="PATH",
            help="Write annotated copies: into this folder, or to this file if its name ends in .jpg or .png.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say for each box what it resembles and what was required.")
    ] = False,
    detection_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            callback=finite,
            help="Lowest detection score to consider. [default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    max_boxes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Detections to recognize, best scores first. [default: the bundle's]", show_default=False
        ),
    ] = None,
    neighbors: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Nearest gallery items to consider per detection. [default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=-1,
            max=1,
            callback=finite,
            help="Lowest cosine similarity that names a product; below it the decision is `unknown`. "
            "[default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=2,
            callback=finite,
            help="Required lead over the runner-up label; below it the decision is `ambiguous` (0: never). "
            "[default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    vote: Annotated[
        bool | None,
        typer.Option(
            "--vote/--no-vote",
            help="Decide by the summed similarity of all neighbors per label, or by the nearest item alone. "
            "[default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    suppression_iou: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            callback=finite,
            help="Overlap (IoU) of two items above which the weaker one is dropped. [default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    whole_image: Annotated[
        WholeImage | None,
        typer.Option(
            help="Recognize the image as a whole too: always, as a fallback if nothing was detected, or never. "
            "[default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    max_false_accept: MaxFalseAccept = None,
    confidence: Confidence = None,
    second_look: SecondLookOption = Look.auto,
    camera: Camera = None,
    region: Region = None,
    tiles: Tiles = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Time limit per image in ms; tiles that it leaves no time for are left out, detections dropped. "
            "[default: none]",
            show_default=False,
        ),
    ] = None,
    decode: Annotated[
        Decode, typer.Option(help="auto may decode large JPEGs at reduced scale; exact decodes every pixel.")
    ] = Decode.auto,
    max_megapixels: MaxMegapixels = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    profile: ProfileOption = None,
) -> None:
    """Recognize the products in images.

    Options about decisions override single values of the bundle's policy. Exits with 1 if an image cannot be read;
    the others are recognized.

    Example: shitu-edge recognize shop.gallery counter.jpg --models models/ppshitu-v2 --draw seen/
    """
    if threshold is not None and max_false_accept is not None:
        raise typer.BadParameter("expected either --threshold or --max-false-accept, which derives one")
    mode: DecodeMode = decode.value
    failed, left_out, hint = False, 0, None
    view = view_of(camera, region, tiles)
    names, drawn_names = _listed(images)
    drawings = drawing_paths(draw_to, names, drawn_names) if draw_to else []
    with open_recognizer(
        models, gallery, engine, precision, threads, profile, max_megapixels, local, second_look.value, view
    ) as recognizer:
        if threshold is None:
            found = recognizer.calibration(max_false_accept, confidence, wait=True)
            if max_false_accept is not None or confidence is not None:
                _note_uncalibrated(found)
        for number, name in enumerate(names):
            try:
                image = _read_stdin() if name == STDIN else name
                answer = recognizer.recognize(
                    image,
                    deadline_ms=deadline_ms,
                    max_boxes=max_boxes,
                    detection_threshold=detection_threshold,
                    threshold=threshold,
                    margin=margin,
                    neighbors=neighbors,
                    vote=vote,
                    suppression_iou=suppression_iou,
                    whole_image=None if whole_image is None else whole_image.value,
                    max_false_accept=max_false_accept,
                    confidence=confidence,
                    decode_mode=mode,
                )
            except ImageError as error:
                failed = True
                print_message(f"error: {error}")
                if as_json:
                    print_json({"image": name, "error": str(error)})
                continue
            hint = hint or answer.hint
            left_out += sum(box.reason == "max_boxes" for box in answer.dropped)
            drawn = drawings[number] if drawings else None
            if drawn:
                _draw(image, answer, drawn, decode_limits(max_megapixels))
                if explain:
                    _draw_evidence(recognizer, answer, drawn)
            if as_json:
                explained = {"explanation": answer.explain()} if explain else {}
                print_json({"image": name, **({"drawn": drawn} if drawn else {}), **answer.as_dict(), **explained})
            else:
                _print_answer(name, answer)
                for line in answer.explain() if explain else ():
                    print_line(line)
        if hint:
            print_note(f"hint: {hint}")
        print_left_out(left_out, f"--max-boxes {max_boxes or recognizer.bundle.manifest.detector.max_boxes}")
    if failed:
        raise typer.Exit(1)


def _note_uncalibrated(calibration: Calibration | None) -> None:
    """Tell who states a rate that the gallery is too small for it."""
    if calibration is not None and calibration.state == "uncalibrated":
        decides = "similarity threshold decides" if calibration.threshold is None else "foreign products decide"
        print_note(
            f"warning: {count(calibration.products, 'label')}, too few to limit false accepts, which needs "
            f"{FEWEST_PRODUCTS}: the bundle's {decides}"
        )


def _read_stdin() -> bytes:
    """Return the image on stdin.

    Raises:
        ImageError: stdin is closed or empty, or cannot be read.
    """
    if sys.stdin is None:
        raise ImageError("stdin is closed, expected an image on it")
    try:
        content = sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1)
    except OSError as error:
        raise ImageError(f"stdin cannot be read: {error.strerror}") from error
    if not content:
        raise ImageError("stdin is empty, expected an image on it")
    return content


def _listed(named: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return the images, those of a folder by name, and the name of each one's drawing in a folder of drawings.

    Unused files of a folder are listed on stderr.

    Raises:
        ImageError: a folder holds no images.
    """
    images: list[str] = []
    drawings: list[Path] = []
    for name in named:
        if name == STDIN or not os.path.isdir(name):
            images.append(name)
            drawings.append(Path("stdin" if name == STDIN else Path(name).name))
        else:
            found = images_in(name)
            print_skipped(found.skipped)
            images += map(str, found.images)
            drawings += [path.relative_to(name) for path in found.images]
    return images, drawings


def _print_answer(name: str, answer: Recognition) -> None:
    ms = answer.stage_ms
    print_line(
        f"{name}: {count(len(answer.items), 'item')} in {ms.total:.0f} ms (decode {ms.decode:.0f}, "
        f"detect {ms.detect:.0f}, extract {ms.extract:.0f}, search {ms.search:.1f}{_looked(answer)})"
    )
    threshold = None if answer.calibration is None else answer.calibration.threshold
    rows = [
        (
            str(number),
            item.decision,
            _label(item),
            "" if item.similarity is None else f"{item.similarity:.3f}",
            *(() if threshold is None else ("" if item.score is None else f"{item.score:.3f}",)),
            "whole image" if item.detection_score is None else f"{item.detection_score:.2f}",
            " ".join(f"{side:.0f}" for side in item.box_xyxy),
        )
        for number, item in enumerate(answer.items, start=1)
    ]
    if rows:
        score = () if threshold is None else (f"score ≥ {threshold:.3f}",)
        headings = ("#", "decision", "label", "similarity", *score, "detection", "box x1 y1 x2 y2")
        print_table(headings, rows, folding=("label",))
    late = sum(box.reason == "deadline" for box in answer.dropped)
    if late:
        print_note(f"{count(late, 'detection')} dropped: --deadline-ms had passed")
    if answer.tiles_left_out:
        print_note(f"{count(answer.tiles_left_out, 'tile')} left out: --deadline-ms left no time")


def _looked(answer: Recognition) -> str:
    looked = answer.second_look.looked
    return f", second look at {looked} {answer.stage_ms.verify:.0f}" if looked else ""


def _label(item: RecognizedItem) -> str:
    """Return the label or, of an unknown object, what it resembles."""
    if item.label is not None:
        possible = [one.label for one in item.candidates if one.possible]
        return " or ".join(possible) or item.label
    if item.negative:
        return NEGATIVE
    return f"like {item.candidates[0].label}" if item.candidates else ""


def _draw(image: str | bytes, answer: Recognition, target: Path, limits: DecodeLimits) -> None:
    from ..drawing.draw import draw, save

    target.parent.mkdir(parents=True, exist_ok=True)
    save(draw(image, answer, limits=limits), target)
    print_note(f"drawn: {target}")


def _draw_evidence(recognizer: Recognizer, answer: Recognition, drawn: Path) -> None:
    """Draw the points that a second look has compared, if there are any, next to the drawing."""
    from ..drawing.draw import save
    from ..drawing.evidence import Panel, draw_evidence

    panels = []
    for number, item in enumerate(answer.items, start=1):
        photo = None if item.evidence is None else recognizer.photo(item.evidence.item_id)
        if photo is not None and item.evidence is not None:
            crop, corner = answer.crop(item), np.trunc(np.array(item.box_xyxy[:2], np.float32))
            what = item.label or _label(item)
            heading = f"{number}: {what}, {count(item.inliers, 'point')} agree with item {item.evidence.item_id}"
            panels.append(Panel(heading, crop, photo, item.evidence.object_xy - corner, item.evidence.photo_xy))
    if panels:
        target = drawn.with_name(f"{drawn.stem}.evidence{drawn.suffix}")
        save(draw_evidence(panels), target)
        print_note(f"drawn: {target}")
