"""What became of the images to enroll: notes on stderr, then the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from ...enrollment import Enrollment, EnrollmentQuality, NothingReadableError, Resemblance
from ...gallery import Gallery
from ...inputs.found import FoundImages
from ...system.text import some
from ..printing import count, print_message, print_note, print_skipped
from .outcome import print_outcome


@contextmanager
def told(found: FoundImages) -> Iterator[None]:
    """Print what was assumed, and the skipped files if no image can be read."""
    for note in found.notes:
        print_note(f"note: {note}")
    try:
        yield
    except NothingReadableError as error:
        print_skipped([*found.skipped, *error.others])
        raise


def report(
    as_json: bool,
    found: FoundImages,
    enrollment: Enrollment,
    path: Path,
    gallery: Gallery,
    allow_missing: bool = False,
) -> None:
    """Print what became of the images.

    Raises:
        typer.Exit: a label got no item.
    """
    skipped = [*found.skipped, *enrollment.unreadable]
    missing = sorted(found.labels - enrollment.labels)
    print_skipped(skipped)
    for line in quality_notes(enrollment.quality):
        print_note(f"note: {line}")
    whole = f" ({enrollment.whole} whole, as no product was found)" if enrollment.whole else ""
    print_outcome(
        as_json,
        path,
        gallery,
        f"{count(enrollment.added, 'image')} added{whole}, {len(skipped)} skipped",
        added=enrollment.added,
        whole=enrollment.whole,
        ids=enrollment.ids,
        skipped=[asdict(one) for one in skipped],
        labels_without_item=missing,
        quality=_as_dict(enrollment.quality),
    )
    if missing:
        text = f"{count(len(missing), 'label')} without an item: {some(missing)}"
        if allow_missing:
            print_note(f"note: {text}")
        else:
            print_message(f"error: {text}; use --allow-missing to accept this")
            raise typer.Exit(1)


def quality_notes(quality: EnrollmentQuality) -> list[str]:
    """Return a line per fault, with at most five names."""
    doubles = [one for one in quality.identical if one.is_of_one_label]
    contradictions = [one for one in quality.identical if not one.is_of_one_label]
    lines = [
        (len(quality.small), "small, under 48 pixels on a side", some(list(quality.small))),
        (len(quality.cut), "cut off by the edge of the image", some(list(quality.cut))),
        (len(quality.blurred), "blurred", some(list(quality.blurred))),
        (len(doubles), "the same as another of the label", _pairs(doubles)),
        (len(contradictions), "the same as one of another label", _pairs(contradictions, labels=True)),
        (len(quality.repeated), "nearly the same as another of the label, so adding nothing", _pairs(quality.repeated)),
        (len(quality.confusable), "nearly the same as one of another label", _pairs(quality.confusable, labels=True)),
    ]
    notes = [f"{count(number, 'image')} {fault}: {names}" for number, fault, names in lines if number]
    if quality.few:
        few = count(len(quality.few), "label")
        notes.append(f"{few} with fewer than 3 images: {some(list(quality.few))}")
    if quality.spellings:
        spelled = some([" = ".join(map(repr, group)) for group in quality.spellings])
        notes.append(f"labels that differ only in case, spaces or width: {spelled}; join them with `gallery rename`")
    return notes


def _pairs(found: Sequence[Resemblance], labels: bool = False) -> str:
    """Return each image and the one it resembles, with their labels if these differ."""
    if labels:
        return some([f"{one.source} ({one.label}) and {one.other_source} ({one.other_label})" for one in found])
    return some([f"{one.source} and {one.other_source}" for one in found])


def _as_dict(quality: EnrollmentQuality) -> dict[str, Any]:
    return asdict(quality)
