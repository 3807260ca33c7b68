"""What `shitu-edge demo` does: products in, scenes recognized and judged, images of it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..drawing.draw import draw, save
from ..drawing.overview import Recognized, overview
from ..enrollment import Progress, build_gallery
from ..errors import ImageError
from ..inputs.skipped import Skipped, summary
from ..recognizer import Recognizer
from ..results import Recognition
from ..system.files import make_folder
from .scenes import Photos, Scene, Verdict, judge


@dataclass(frozen=True, slots=True)
class Seen:
    """A scene, what was recognized in it, whether that is right (None where nobody knows), and the drawing."""

    scene: Scene
    answer: Recognition
    verdict: Verdict | None
    drawn: Path


@dataclass(frozen=True, slots=True)
class Demo:
    """What came out: files, scenes, and all files that were not used.

    `verdicts` are those of all scenes whose content is known, the unreadable among them.
    """

    gallery: Path
    products: int
    seen: tuple[Seen, ...]
    verdicts: tuple[Verdict, ...]
    unreadable: tuple[Skipped, ...]
    drawings: Path
    overview: Path

    @property
    def right(self) -> bool:
        """Whether nothing that is known to be in the scenes was missed or taken for something else."""
        return all(verdict.right for verdict in self.verdicts)


def run_demo(
    open_recognizer: Callable[[Path | None], Recognizer], photos: Photos, out: Path, progress: Progress | None = None
) -> Demo:
    """Build a gallery of the products, recognize the scenes, and draw what was seen, all in the folder `out`.

    Args:
        open_recognizer: opens the networks with a gallery or, for None, without.
        photos: products and scenes.
        out: made where it is missing; earlier results in it are replaced.
        progress: called with `images` or `scenes`, what is done and the total.

    Raises:
        ImageError: no scene can be read; NothingReadableError: no product can.
        OSError: the folder cannot be written.
    """
    make_folder(out)
    gallery, drawings = out / "demo.gallery", out / "seen"
    with open_recognizer(None) as embedder:
        enrollment = build_gallery(
            embedder, gallery, photos.gallery, replace=True, crop=True, note="shitu-edge demo", progress=progress
        )
    seen: list[Seen] = []
    verdicts: list[Verdict] = []
    unreadable: list[Skipped] = []
    with open_recognizer(gallery) as recognizer:
        for done, scene in enumerate(photos.scenes, start=1):
            answer = _recognize(recognizer, scene)
            verdict = None
            if scene.expected is not None:
                verdict = judge(answer.items if isinstance(answer, Recognition) else (), scene.expected)
                verdicts.append(verdict)
            if isinstance(answer, Recognition):
                seen.append(Seen(scene, answer, verdict, _draw(scene, answer, drawings)))
            else:
                unreadable.append(answer)
            if progress:
                progress("scenes", done, len(photos.scenes))
    if not seen:
        raise ImageError(f"none of {len(unreadable)} scenes can be read; {summary(unreadable)[0]}")
    first = {image.label: image.path for image in reversed(photos.gallery)}
    labels = {label: path for label, path in first.items() if label in enrollment.labels}
    sheet = out / "overview.jpg"
    heading = f"shitu-edge: {len(labels)} products in the gallery, {len(seen)} scenes recognized"
    save(overview(heading, sorted(labels.items()), [_captioned(one) for one in seen]), sheet)
    skipped = (*photos.skipped, *enrollment.unreadable, *unreadable)
    return Demo(gallery, len(labels), tuple(seen), tuple(verdicts), skipped, drawings, sheet)


def _recognize(recognizer: Recognizer, scene: Scene) -> Recognition | Skipped:
    try:
        return recognizer.recognize(scene.path)
    except ImageError as error:
        return Skipped(scene.name, str(error).removeprefix(f"{scene.path}: "))


def _draw(scene: Scene, answer: Recognition, folder: Path) -> Path:
    name = Path(scene.name)
    target = folder / (name if name.suffix.lower() in (".jpg", ".jpeg") else name.with_name(f"{name.name}.jpg"))
    target.parent.mkdir(parents=True, exist_ok=True)
    save(draw(scene.path, answer), target)
    return target


def _captioned(seen: Seen) -> Recognized:
    wrong = seen.verdict is not None and not seen.verdict.right
    return Recognized(seen.scene.path, seen.answer, _title(seen), wrong)


def _title(seen: Seen) -> str:
    unknown = sum(item.decision == "unknown" for item in seen.answer.items)
    title = f"{seen.scene.name}: {len(seen.answer.items) - unknown} named, {unknown} unknown, "
    title += f"{seen.answer.stage_ms.total:.0f} ms"
    if seen.verdict is None:
        return title
    return f"{title} – {'as expected' if seen.verdict.right else 'NOT as expected'}"
