"""`shitu-edge demo`: enroll products, recognize scenes, judge and draw the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..drawing.draw import draw, save
from ..drawing.overview import Recognized, overview
from ..enrollment import build_gallery
from ..errors import ImageError
from ..inputs.skipped import Skipped, summary
from ..recognizer import Recognizer
from ..results import Recognition
from ..system.files import make_folder
from ..system.progress import StepProgress
from .scenes import Photos, Scene, Verdict, judge


@dataclass(frozen=True, slots=True)
class Seen:
    """A scene, its recognition, the verdict (None if unknown), and the drawing."""

    scene: Scene
    answer: Recognition
    verdict: Verdict | None
    drawn: Path


@dataclass(frozen=True, slots=True)
class Demo:
    """Result of a demo: files, scenes, and skipped files.

    `verdicts` are those of all scenes with known content, including unreadable ones.
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
        """Whether all scenes with known content were recognized correctly."""
        return all(verdict.right for verdict in self.verdicts)


def run_demo(
    open_recognizer: Callable[[Path | None], Recognizer],
    photos: Photos,
    out: Path,
    progress: StepProgress | None = None,
) -> Demo:
    """Build a gallery of the products, recognize the scenes, and draw the answers, all in the folder `out`.

    Args:
        open_recognizer: opens the networks with a gallery, or without one for None.
        photos: products and scenes.
        out: output folder, created if missing; earlier results are replaced.
        progress: called with `images` or `scenes`, the number done and the total.

    Raises:
        ImageError: no scene can be read; NothingReadableError: no product can.
        OSError: the folder cannot be written.
    """
    make_folder(out)
    gallery, drawings = out / "demo.gallery", out / "seen"
    with open_recognizer(None) as embedder:
        enrollment = build_gallery(
            embedder, gallery, photos.gallery, replace=True, note="shitu-edge demo", progress=progress
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
