"""`shitu-edge bench` and `tune`: how fast this machine recognizes, whether that will do, and what is fastest."""

from __future__ import annotations

import json
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
from .options import Engine, EngineOption, Models, PrecisionOption, ProfileOption, Threads, finite
from .printing import print_line, print_message
from .tables import print_facts, print_json, print_table, progress_bar

_KEPT = "bench"
_NO_FOLDER = Path()
_DEFAULT = Setup(_NO_FOLDER)

Images = Annotated[
    Path | None, typer.Option(help="Image, or folder of them. [default: the sample scenes]", show_default=False)
]
ImageSize = Annotated[
    str | None,
    typer.Option(metavar="WxH", help="Bring the images to this size. [default: as they are]", show_default=False),
]
OwnGallery = Annotated[
    Path | None,
    typer.Option("--gallery", "-g", help="Gallery file. [default: a synthetic one]", show_default=False),
]
GallerySize = Annotated[int, typer.Option(min=1, help="Items of the synthetic gallery.")]
Objects = Annotated[int, typer.Option(min=1, help="Boxes looked at, besides the whole image.")]

app = typer.Typer()


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    models: Models = None,
    images: Images = None,
    image_size: ImageSize = None,
    gallery: OwnGallery = None,
    gallery_size: GallerySize = _DEFAULT.gallery_size,
    objects: Objects = _DEFAULT.objects,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    profile: ProfileOption = None,
    count: Annotated[int, typer.Option(min=1, help="Images that are measured one by one.")] = _DEFAULT.count,
    seconds: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="For each measurement of throughput.")
    ] = _DEFAULT.seconds,
    budget_ms: Annotated[
        float | None,
        typer.Option(min=0, callback=finite, help="Fail where 95 of 100 images do not keep to it.", show_default=False),
    ] = None,
    cold: Annotated[bool, typer.Option("--cold/--no-cold", help="Start fresh processes, too.")] = True,
    vary: Annotated[
        bool, typer.Option("--sweep", help="Vary objects, images, gallery, threads, precision and engine, too.")
    ] = False,
    json_to: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all of it as JSON; - prints it.")
    ] = None,
    markdown_to: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the report as Markdown.")
    ] = None,
    html_to: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots.")] = None,
) -> None:
    """Measure how long recognizing takes here, from a photo's bytes to named products.

    The gallery is synthetic unless one is named; it is made once (minutes, for 100 000 items) and kept in the cache
    folder. Exits with 1 where --budget-ms is missed, and then says which stage is to blame and what would help.

    Example: shitu-edge bench --budget-ms 200 --gallery-size 100000 --objects 5
    """
    if context.invoked_subcommand:
        return
    for out in (json_to, markdown_to, html_to):
        if out and str(out) != "-":
            check_writable(out)
    loaded = load_images(images, read_size(image_size) if image_size else None)
    setup = Setup(
        _kept(gallery),
        models,
        gallery,
        gallery_size,
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
    if json_to:
        stored = _as_json(result, verdict, swept)
        if str(json_to) == "-":
            print_json(stored)
        else:
            _write(json_to, json.dumps(stored, default=str) + "\n")
    if markdown_to:
        _write(markdown_to, markdown(result, verdict, swept))
    if html_to:
        _write(html_to, page(result, verdict, swept))
    if str(json_to) != "-":
        _print(result, verdict, swept)
    if verdict and not verdict.met:
        raise typer.Exit(1)


@app.command("compare")
def compare_results(
    before: Annotated[Path, typer.Argument(metavar="BEFORE.json")],
    after: Annotated[Path, typer.Argument(metavar="AFTER.json")],
) -> None:
    """Say what changed from one stored result to another beyond noise, and what else was different.

    The interval holds the true ratio of the medians 95 times in 100, as far as the machine was the same both times.

    Example: shitu-edge bench compare monday.json today.json
    """
    first, second = load_result(before), load_result(after)
    rows = []
    for difference in differences(first, second):
        change = difference.change
        word = ("faster" if change.ratio < 1 else "slower") if change.beyond_noise else "no change"
        interval = f"{100 * (change.low - 1):+.1f} to {100 * (change.high - 1):+.1f} %"
        medians = f"{difference.before_ms:.2f}", f"{difference.after_ms:.2f}"
        rows.append((difference.name, *medians, f"{100 * (change.ratio - 1):+.1f} %", interval, word))
    print_table(("median, ms", str(before), str(after), "change", "95 % sure", ""), rows)
    for name, (old, new) in conditions(first, second).items():
        print_line(f"not the same: {name}: {old} | {new}")


def tune_here(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Profile to write.")] = Path("profile.json"),
    models: Models = None,
    images: Images = None,
    image_size: ImageSize = None,
    gallery: OwnGallery = None,
    gallery_size: GallerySize = 10_000,
    objects: Objects = _DEFAULT.objects,
    count: Annotated[int, typer.Option(min=2, help="Images for each trial.")] = 40,
) -> None:
    """Find the fastest engine, precisions and threads on this machine, and write them as a profile.

    Only precisions that the bundle holds are tried, and those passed the export's gate of accuracy. `recognize` and
    `bench` take the profile with --profile, programs with Recognizer.open(profile=...).

    Example: shitu-edge tune --out kiosk.json
    """
    check_writable(out)
    loaded = load_images(images, read_size(image_size) if image_size else None)
    with progress_bar() as report:
        setup = Setup(_kept(gallery), models, gallery, gallery_size, objects)
        tuned = tune(setup, loaded, count=count, report=report)
    _print_tables([outcome_table("Milliseconds per image", "", tuned.outcomes)])
    tuned.profile.write(out)
    found = tuned.profile
    print_line()
    print_line(
        f"{out}: {found.engine}, detector {found.detector_precision}, extractor {found.extractor_precision}, "
        f"{found.threads} threads: p50 {found.p50_ms:.1f}, p95 {found.p95_ms:.1f} ms"
    )


def _write(path: Path, text: str) -> None:
    write_aside(path, text.encode(errors="backslashreplace"))


def _kept(gallery: Path | None) -> Path:
    """Return the folder for synthetic galleries, which a gallery that is named needs none of.

    Raises:
        OptionError: this user has none.
    """
    if gallery:
        return _NO_FOLDER
    folder = user_cache() or home_cache()
    if folder is None:
        raise OptionError(f"no folder for a synthetic gallery: set ${CACHE_VARIABLE}, or name a --gallery")
    return folder / _KEPT


def _as_json(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> dict[str, object]:
    return {
        **result.as_dict(),
        "sweep": [asdict(axis) for axis in swept],
        "verdict": asdict(verdict) if verdict else None,
    }


def _print(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> None:
    print_facts(dict(facts(result)))
    _print_tables([*tables(result), *sweep_tables(swept)])
    for warning in result.environment.warnings():
        print_message(f"warning: {warning}")
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
