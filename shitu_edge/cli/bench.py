"""`shitu-edge bench` and `tune`: measure recognition on this machine, and find its fastest settings."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..bench.compare import conditions, differences, load_result
from ..bench.images import load_images, read_size
from ..bench.page import page
from ..bench.report import facts, markdown, outcome_table, sweep_tables, tables, verdict_lines
from ..bench.run import Result, Setup, run
from ..bench.sweep import Axis, sweep
from ..bench.tune import tune
from ..bench.verdict import Verdict, judge, try_remedies
from ..bundle.profile import Profile
from ..drawing.page import Table
from ..engines.cache import CACHE_VARIABLE, home_cache, user_cache
from ..errors import OptionError
from ..system.files import check_writable, write_aside
from .command import GALLERY_VARIABLE, Command, command
from .options import AsJson, Engine, EngineOption, Models, PrecisionOption, ProfileOption, Threads, finite
from .printing import count as count_of
from .printing import print_line, print_note
from .tables import print_facts, print_json, print_table, progress_bar

_KEPT = "bench"
_NO_FOLDER = Path()
_DEFAULT = Setup(_NO_FOLDER)
_TUNE_GALLERY_SIZE = 10_000


def _check_size(text: str | None) -> str | None:
    """Refuse an unreadable --image-size as wrong usage."""
    try:
        if text is not None:
            read_size(text)
    except OptionError as error:
        raise typer.BadParameter(str(error)) from error
    return text


Images = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Image, or folder of images. [default: the sample scenes]", show_default=False),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="WxH",
        callback=_check_size,
        help="Resize the images to this size in pixels. [default: as they are]",
        show_default=False,
    ),
]
OwnGallery = Annotated[
    Path | None,
    typer.Option(
        "--gallery",
        "-g",
        metavar="GALLERY",
        help=f"Gallery file. [default: ${GALLERY_VARIABLE} unless --gallery-size is given, else a synthetic gallery]",
        show_default=False,
    ),
]
GallerySize = Annotated[
    int | None, typer.Option(min=1, help="Items of the synthetic gallery. [default: 100000]", show_default=False)
]
TuneGallerySize = Annotated[
    int | None, typer.Option(min=1, help="Items of the synthetic gallery. [default: 10000]", show_default=False)
]
Objects = Annotated[int, typer.Option(min=1, help="Detections to recognize per image.")]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
@command
def bench(
    context: typer.Context,
    models: Models = None,
    images: Images = None,
    image_size: ImageSize = None,
    gallery: OwnGallery = None,
    gallery_size: GallerySize = None,
    objects: Objects = _DEFAULT.objects,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    profile: ProfileOption = None,
    count: Annotated[int, typer.Option(min=1, help="Images to measure one by one.")] = _DEFAULT.count,
    seconds: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="Duration of each throughput measurement in seconds.")
    ] = _DEFAULT.seconds,
    budget_ms: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Latency budget in ms; exit 1 if p95 exceeds it. [default: none]",
            show_default=False,
        ),
    ] = None,
    cold: Annotated[
        bool, typer.Option("--cold/--no-cold", help="Measure the start of fresh processes too, or not.")
    ] = True,
    vary: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Also vary detections, images, gallery size, threads, precision and engine, one at a time."
        ),
    ] = False,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write the result to this file, may be repeated: .json with all samples, .md as a report, "
            ".html with plots. [default: none]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the speed of this machine.

    Times everything from an image's bytes to named products. The default gallery is synthetic. It is created once
    (100 000 items take minutes) and kept in the cache folder. If --budget-ms is exceeded, exits with 1, names the
    slowest stage and tries what would help.

    Example: shitu-edge bench --budget-ms 200 --gallery-size 100000 --objects 5 -o now.json
    """
    if context.invoked_subcommand:
        return
    outputs = out or []
    for path in outputs:
        if path.suffix.lower() not in _FORMATS:
            raise typer.BadParameter(f"expected a name that ends in .json, .md or .html, found {path}", param_hint="-o")
        check_writable(path)
    own = _own_gallery(gallery, gallery_size)
    loaded = load_images(images, read_size(image_size) if image_size else None)
    setup = Setup(
        _kept(own),
        models,
        own,
        gallery_size or _DEFAULT.gallery_size,
        objects,
        engine.value,
        precision.value if precision else None,
        threads,
        count,
        seconds,
    )
    if profile:
        setup = setup.profiled(Profile.read(profile))
    with progress_bar() as report:
        result = run(setup, loaded, cold=cold, report=report)
        swept = sweep(setup, loaded, report=report) if vary else []
        verdict = judge(result, budget_ms) if budget_ms is not None else None
        if verdict and not verdict.met:
            verdict = try_remedies(result, verdict, loaded, report=report)
    for path in outputs:
        _write(path, _FORMATS[path.suffix.lower()](result, verdict, swept))
    if as_json:
        print_json(_as_json(result, verdict, swept))
    else:
        _print(result, verdict, swept)
    if verdict and not verdict.met:
        raise typer.Exit(1)


@app.command("compare", cls=Command)
@command
def compare_results(
    before: Annotated[Path, typer.Argument(metavar="BEFORE.json", help="Earlier result, from `bench -o`.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER.json", help="Later result.")],
    as_json: AsJson = False,
) -> None:
    """Compare two stored results.

    Shows which stages changed beyond noise, and which conditions differ. The second-to-last column is a 95 % confidence
    interval of the change of the median, if the machine was the same.

    Example: shitu-edge bench compare monday.json today.json
    """
    first, second = load_result(before), load_result(after)
    if as_json:
        print_json(
            {
                "stages": [asdict(difference) for difference in differences(first, second)],
                "conditions": {name: list(pair) for name, pair in conditions(first, second).items()},
            }
        )
        return
    rows = []
    for difference in differences(first, second):
        change = difference.change
        word = ("faster" if change.ratio < 1 else "slower") if change.beyond_noise else "no change"
        interval = f"{100 * (change.low - 1):+.1f} to {100 * (change.high - 1):+.1f} %"
        medians = f"{difference.before_ms:.2f}", f"{difference.after_ms:.2f}"
        rows.append((difference.name, *medians, f"{100 * (change.ratio - 1):+.1f} %", interval, word))
    print_table(("median, ms", "before", "after", "change", "95 % interval", ""), rows)
    for name, (old, new) in conditions(first, second).items():
        print_line(f"different {name}: {old} | {new}")


def tune_here(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Profile to write, for --profile.")] = Path(
        "profile.json"
    ),
    models: Models = None,
    images: Images = None,
    image_size: ImageSize = None,
    gallery: OwnGallery = None,
    gallery_size: TuneGallerySize = None,
    objects: Objects = _DEFAULT.objects,
    count: Annotated[int, typer.Option(min=2, help="Images per trial.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Find the fastest settings for this machine.

    Measures all engines, precisions and thread counts and writes the best as a profile. It tries the precisions in the
    bundle, all of which passed the export's accuracy gate. Use the profile with --profile, or in a program with
    Recognizer.open(profile=...).

    Example: shitu-edge tune --out kiosk.json
    """
    check_writable(out)
    loaded = load_images(images, read_size(image_size) if image_size else None)
    with progress_bar() as report:
        own = _own_gallery(gallery, gallery_size)
        setup = Setup(_kept(own), models, own, gallery_size or _TUNE_GALLERY_SIZE, objects)
        tuned = tune(setup, loaded, count=count, report=report)
    tuned.profile.write(out)
    found = tuned.profile
    if as_json:
        print_json({"out": out, "profile": asdict(found), "tried": [asdict(one) for one in tuned.outcomes]})
        return
    _print_tables([outcome_table("Milliseconds per image", "", tuned.outcomes)])
    print_line()
    print_facts(
        {
            "profile": out,
            "engine": f"{found.engine}, {count_of(found.threads, 'thread')}",
            "precision": f"detector {found.detector_precision}, extractor {found.extractor_precision}",
            "latency": f"p50 {found.p50_ms:.1f} ms, p95 {found.p95_ms:.1f} ms",
        }
    )


def _write(path: Path, text: str) -> None:
    write_aside(path, text.encode(errors="backslashreplace"))


def _own_gallery(gallery: Path | None, size: int | None) -> Path | None:
    """Return the gallery to search: that of the option, else the variable's unless a synthetic one is asked for."""
    variable = os.environ.get(GALLERY_VARIABLE)
    return gallery or (Path(variable) if variable and size is None else None)


def _kept(gallery: Path | None) -> Path:
    """Return the folder for synthetic galleries; any path will do if a gallery is named.

    Raises:
        OptionError: there is no cache folder.
    """
    if gallery:
        return _NO_FOLDER
    folder = user_cache() or home_cache()
    if folder is None:
        raise OptionError(f"there is no cache folder for a synthetic gallery: set ${CACHE_VARIABLE}, or use --gallery")
    return folder / _KEPT


def _as_json(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> dict[str, object]:
    return {
        **result.as_dict(),
        "sweep": [asdict(axis) for axis in swept],
        "verdict": asdict(verdict) if verdict else None,
    }


def _json_file(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> str:
    return json.dumps(_as_json(result, verdict, swept), default=str) + "\n"


_FORMATS = {".json": _json_file, ".md": markdown, ".html": page}


def _print(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> None:
    print_facts(dict(facts(result)))
    _print_tables([*tables(result), *sweep_tables(swept)])
    for warning in result.environment.warnings():
        print_note(f"warning: {warning}")
    if verdict:
        print_line()
        for line in verdict_lines(verdict):
            print_line(line)


def _print_tables(shown: Sequence[Table]) -> None:
    for table in shown:
        print_line()
        print_line(table.title)
        print_line()
        print_table(table.headings, table.rows)
