"""`shitu-edge bench`: how fast this machine recognises, and whether that is fast enough."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..bench.pictures import load_pictures, read_size
from ..bench.report import facts, markdown, tables, verdict_lines
from ..bench.run import Setup, run
from ..bench.verdict import judge, try_remedies
from ..engines.cache import user_cache
from .options import Engine, EngineOption, Models, PrecisionOption, Threads
from .tables import print_facts, print_table, progress_bar

_KEPT = "bench"
_DEFAULT = Setup(Path())


def bench(
    models: Models = None,
    images: Annotated[
        Path | None, typer.Option(help="Picture, or folder of them. [default: the sample scenes]", show_default=False)
    ] = None,
    image_size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Bring the pictures to this size. [default: as they are]", show_default=False),
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option("--gallery", "-g", help="Gallery file. [default: a synthetic one]", show_default=False),
    ] = None,
    gallery_size: Annotated[int, typer.Option(min=1, help="Items of the synthetic gallery.")] = _DEFAULT.gallery_size,
    objects: Annotated[int, typer.Option(min=0, help="Boxes looked at, besides the whole picture.")] = _DEFAULT.objects,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures that are measured one by one.")] = _DEFAULT.count,
    seconds: Annotated[float, typer.Option(min=0.1, help="For each measurement of throughput.")] = _DEFAULT.seconds,
    budget_ms: Annotated[
        float | None, typer.Option(min=0, help="Fail where 95 of 100 pictures do not keep to it.", show_default=False)
    ] = None,
    cold: Annotated[bool, typer.Option("--cold/--no-cold", help="Start fresh processes, too.")] = True,
    json_to: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all of it as JSON; - prints it.")
    ] = None,
    markdown_to: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the report as Markdown.")
    ] = None,
) -> None:
    """Measure how long recognising takes here, from a photo's bytes to named products.

    The gallery is synthetic unless one is named; it is made once (minutes, for 100 000 items) and kept in the cache
    folder. Exits with 1 where --budget-ms is missed, and then says which stage is to blame and what would help.

    Example: shitu-edge bench --budget-ms 200 --gallery-size 100000 --objects 5
    """
    pictures = load_pictures(images, read_size(image_size) if image_size else None)
    keep = (user_cache() or Path.home() / ".cache" / "shitu-edge") / _KEPT
    setup = Setup(
        keep,
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
    with progress_bar() as report:
        result = run(setup, pictures, cold=cold, report=report)
        verdict = judge(result, budget_ms) if budget_ms is not None else None
        if verdict and not verdict.met:
            verdict = try_remedies(result, verdict, pictures, report=report)
    if json_to:
        text = json.dumps({**result.as_dict(), "verdict": asdict(verdict) if verdict else None}, default=str)
        if str(json_to) == "-":
            print(text)
        else:
            json_to.write_text(text + "\n", encoding="utf-8")
    if markdown_to:
        markdown_to.write_text(markdown(result, verdict), encoding="utf-8")
    if str(json_to) != "-":
        print_facts(dict(facts(result)))
        for table in tables(result):
            print(f"\n{table.title}\n")
            print_table(table.headings, table.rows)
        for warning in result.environment.warnings():
            print(f"warning: {warning}", file=sys.stderr)
        if verdict:
            print("\n" + "\n".join(verdict_lines(verdict)))
    if verdict and not verdict.met:
        raise typer.Exit(1)
