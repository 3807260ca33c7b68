"""`shitu-edge recognize`: photos in, named products out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..drawing.draw import draw, save
from ..errors import ImageError
from ..inputs.folders import images_in
from ..results import Recognition
from ..stages.decode import DEFAULT_LIMITS, DecodeLimits, DecodeMode
from ..system.files import make_folder
from .options import (
    AsJson,
    Engine,
    EngineOption,
    GalleryPath,
    MaxMegapixels,
    Models,
    PrecisionOption,
    ProfileOption,
    Threads,
    decode_limits,
    finite,
    open_recognizer,
)
from .printing import print_left_out, print_line, print_message, print_skipped
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
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Photos, folders of photos, or - for one on stdin.")
    ],
    gallery: GalleryPath,
    models: Models = None,
    as_json: AsJson = False,
    draw_to: Annotated[
        Path | None, typer.Option("--draw", metavar="DIR", help="Write annotated images into this folder.")
    ] = None,
    max_boxes: Annotated[
        int | None, typer.Option(min=1, help="Boxes to look at. [default: the bundle's]", show_default=False)
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=-1,
            max=1,
            callback=finite,
            help="Similarity that names a thing. [default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=2,
            callback=finite,
            help="Lead over other labels, or ambiguous. [default: the bundle's]",
            show_default=False,
        ),
    ] = None,
    vote: Annotated[bool, typer.Option("--vote", help="Let the neighbors vote instead of the best one.")] = False,
    whole_image: Annotated[
        WholeImage | None,
        typer.Option(help="Whether to recognize the whole image too. [default: the bundle's]", show_default=False),
    ] = None,
    deadline_ms: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="Time a photo may take.", show_default=False)
    ] = None,
    decode: Annotated[Decode, typer.Option(help="exact decodes every pixel of large JPEGs.")] = Decode.auto,
    max_megapixels: MaxMegapixels = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    profile: ProfileOption = None,
) -> None:
    """Say which products photos show.

    Example: shitu-edge recognize counter.jpg --models models/ppshitu-v2 --gallery shop.gallery --draw seen
    """
    mode: DecodeMode = decode.value
    failed, left_out = False, 0
    if draw_to:
        make_folder(draw_to)
    with open_recognizer(models, gallery, engine, precision, threads, profile, max_megapixels) as recognizer:
        for name, drawing in _photos(photos):
            try:
                photo = _read_stdin() if name == STDIN else name
                answer = recognizer.recognize(
                    photo,
                    deadline_ms=deadline_ms,
                    max_boxes=max_boxes,
                    threshold=threshold,
                    margin=margin,
                    vote=vote or None,
                    whole_image=whole_image.value if whole_image else None,
                    decode_mode=mode,
                )
            except ImageError as error:
                failed = True
                print_message(f"error: {error}")
                if as_json:
                    print_json({"image": name, "error": str(error)})
                continue
            left_out += sum(box.reason == "max_boxes" for box in answer.dropped)
            if as_json:
                print_json({"image": name, **answer.as_dict()})
            else:
                _print_answer(name, answer)
            if draw_to:
                _draw(photo, answer, draw_to / drawing, decode_limits(max_megapixels))
        print_left_out(left_out, f"--max-boxes {max_boxes or recognizer.bundle.manifest.detector.max_boxes}")
    if failed:
        raise typer.Exit(1)


def _read_stdin() -> bytes:
    """Return the photo on stdin.

    Raises:
        ImageError: there is none.
    """
    if sys.stdin is None:
        raise ImageError("stdin is closed: expected a photo on it")
    try:
        return sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1)
    except OSError as error:
        raise ImageError(f"stdin cannot be read: {error.strerror}") from error


def _photos(names: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield the photos named, those of a folder by name, and where in a folder of drawings each belongs.

    What is not used of a folder is named on stderr.

    Raises:
        ImageError: a folder holds none.
    """
    taken: set[Path] = set()
    for name in names:
        if name == STDIN or not os.path.isdir(name):
            inside = [(name, Path("stdin" if name == STDIN else Path(name).name))]
        else:
            found = images_in(name)
            print_skipped(found.skipped)
            inside = [(str(path), path.relative_to(name)) for path in found.images]
        for photo, drawing in inside:
            target, number = drawing.with_name(f"{drawing.name}.png"), 2
            while target in taken:
                target, number = drawing.with_name(f"{drawing.name}-{number}.png"), number + 1
            taken.add(target)
            yield photo, target


def _print_answer(name: str, answer: Recognition) -> None:
    ms = answer.stage_ms
    print_line(
        f"{name}: {len(answer.items)} items in {ms.total:.0f} ms (decode {ms.decode:.0f}, detect {ms.detect:.0f}, "
        f"extract {ms.extract:.0f}, search {ms.search:.1f})"
    )
    rows = [
        (
            str(number),
            item.decision,
            item.label or "",
            "" if item.similarity is None else f"{item.similarity:.3f}",
            "whole image" if item.detection_score is None else f"{item.detection_score:.2f}",
            " ".join(f"{side:.0f}" for side in item.box_xyxy),
        )
        for number, item in enumerate(answer.items, start=1)
    ]
    if rows:
        print_table(("#", "decision", "label", "similarity", "detection", "box x1 y1 x2 y2"), rows)
    late = sum(box.reason == "deadline" for box in answer.dropped)
    if late:
        print_message(f"{late} boxes left out: the deadline had passed")


def _draw(photo: str | bytes, answer: Recognition, target: Path, limits: DecodeLimits) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    save(draw(photo, answer, limits=limits), target)
    print_message(f"drawn: {target}")
