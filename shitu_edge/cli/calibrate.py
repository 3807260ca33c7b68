"""`shitu-edge calibrate`: from which score a gallery names a product, and what is to be kept by that."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from ..bundle import Bundle, Target
from ..bundle.networks import open_bundle
from ..calibration import FEWEST_PRODUCTS, Calibrator, Queries, forget, sampled, store
from ..errors import OptionError, PromiseError
from ..evaluation import embed_queries, read_queries
from ..gallery import Gallery
from ..gallery.layers import Layers
from ..inputs.skipped import summary
from ..ranges import percent
from ..results import Calibration
from .calibration_state import opened_calibrator, opened_layers
from .options import (
    AsJson,
    Author,
    Confidence,
    Engine,
    EngineOption,
    GalleryArgument,
    LocalLayer,
    MaxFalseAccept,
    MaxWrong,
    Models,
    Note,
    PrecisionOption,
    Threads,
    UnknownShare,
    author_or_user,
    open_recognizer,
)
from .printing import count, print_line, print_note
from .tables import print_facts, print_json, print_table, progress_bar

_RATES = (0.01, 0.02, 0.05, 0.1)
_SURE = 0.9


def calibrate(
    gallery: GalleryArgument,
    queries: Annotated[
        Path | None,
        typer.Argument(
            metavar="QUERIES",
            help="Labeled images of what the camera shows, in the formats of `evaluate`; the gallery keeps their "
            "embeddings. [default: the gallery's own items alone]",
            show_default=False,
        ),
    ] = None,
    max_false_accept: MaxFalseAccept = None,
    max_wrong: MaxWrong = None,
    unknown_share: UnknownShare = None,
    confidence: Confidence = None,
    crop: Annotated[
        bool, typer.Option("--crop", help="Crop each image with one label to the product that it shows.")
    ] = False,
    forget_all: Annotated[
        bool, typer.Option("--forget", help="Remove the target and the labeled images from the gallery.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the result; leave the gallery as it is.")] = False,
    local: LocalLayer = None,
    models: Models = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = None,
    threads: Threads = None,
    author: Author = None,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Say what a gallery's labels have to keep, and show from which score they do.

    Each item asks the gallery without its label, as an unknown object would, and without itself. `recognize` does the
    same automatically. Labeled images add what the camera really shows. A stated share and labeled images are kept in
    the gallery as a revision, and apply wherever it is opened or patched. Without them the command shows several rates.

    Example: shitu-edge calibrate shop.gallery counter-photos/ --max-false-accept 0.02
    """
    stated = any(value is not None for value in (max_false_accept, max_wrong, unknown_share, confidence))
    if max_false_accept is not None and max_wrong is not None:
        raise typer.BadParameter("expected either --max-false-accept or --max-wrong")
    if forget_all and (queries or stated):
        raise typer.BadParameter("--forget removes the target and the labeled images; state new ones in a second call")
    if forget_all and dry_run:
        raise typer.BadParameter("expected either --forget or --dry-run")
    with opened_layers(gallery, local) as layers:
        if forget_all:
            _forget(layers.central, author, note, as_json)
            return
        bundle = open_bundle(models)
        asked = None
        if queries is not None:
            asked = _embedded(queries, layers, models, engine, precision, threads, crop)
        chosen_precision = precision.value if precision else bundle.manifest.extractor.network.default_precision
        used = chosen_precision if asked is None else asked.precision
        with opened_calibrator(layers, bundle, used, asked) as calibrator:
            target = _target(calibrator, bundle, max_false_accept, max_wrong, unknown_share, confidence)
            targets = [target] if stated else _targets(target)
            if stated:
                calibrator.at(target, wait=True)  # an error if it cannot be promised
            chosen = (target if stated else None, asked)
            if dry_run or not any(chosen):
                _report(layers, calibrator, targets, as_json)
                return
        store(layers.central, *chosen, author=author_or_user(author), note=note or _note(*chosen))
        print_note(f"{gallery}: kept as revision {layers.central.revision}")
        with opened_calibrator(layers, bundle, used) as calibrator:
            _report(layers, calibrator, targets, as_json)


def _forget(gallery: Gallery, author: str | None, note: str, as_json: bool) -> None:
    forget(gallery, author=author_or_user(author), **({"note": note} if note else {}))
    if as_json:
        print_json({"gallery": gallery.path, "revision": gallery.revision})
    else:
        print_line(f"{gallery}: revision {gallery.revision}, calibrated by its own items alone")


def _embedded(
    queries: Path,
    layers: Layers,
    models: str | None,
    engine: Engine,
    precision: PrecisionOption,
    threads: int | None,
    crop: bool,
) -> Queries:
    photos = read_queries(queries)
    with (
        open_recognizer(models, layers.central, engine, precision, threads, second_look="off") as recognizer,
        progress_bar() as report,
    ):
        found, skipped = embed_queries(recognizer, photos, crop=crop, progress=report)
    for line in summary(skipped):
        print_note(line)
    return sampled(found)


def _target(
    calibrator: Calibrator,
    bundle: Bundle,
    max_false_accept: float | None,
    max_wrong: float | None,
    unknown_share: float | None,
    confidence: float | None,
) -> Target:
    """Return the target: what is stated, the rest as the gallery, else the bundle, states it, or 1 % false accepts."""
    target = calibrator.stored().target or bundle.manifest.policy.target or Target(max_false_accept=_RATES[0])
    if max_false_accept is not None or max_wrong is not None:
        target = replace(target, max_false_accept=max_false_accept, max_wrong=max_wrong, confidence=None)
    given = {"unknown_share": unknown_share, "confidence": confidence}
    return replace(target, **{name: value for name, value in given.items() if value is not None})


def _targets(target: Target) -> list[Target]:
    rates = sorted({*_RATES, *([] if target.max_false_accept is None else [target.max_false_accept])})
    others = [replace(target, max_false_accept=rate, max_wrong=None, confidence=None) for rate in rates]
    return others if target in others else [target, *others]


def _note(target: Target | None, queries: Queries | None) -> str:
    parts = [] if target is None else [_stated(target)]
    return ", ".join(
        ["calibrated", *parts, *([] if queries is None else [count(len(queries.labels), "labeled image")])]
    )


def _stated(target: Target | Calibration) -> str:
    if target.max_false_accept is None:
        what = f"{percent(target.max_wrong or 0)} wrong of all with {percent(target.unknown_share)} unknown"
    else:
        what = f"{percent(target.max_false_accept)} false accepts"
    return what if target.confidence is None else f"{what}, {percent(target.confidence)} sure"


def _report(layers: Layers, calibrator: Calibrator, targets: list[Target], as_json: bool) -> None:
    found = [_at(calibrator, target) for target in targets]
    if as_json:
        for target, one in zip(targets, found, strict=True):
            refused = {**asdict(target), "error": str(one)}
            print_json(refused if isinstance(one, OptionError) else asdict(one))
        return
    known = next((one for one in found if isinstance(one, Calibration)), None)
    products = calibrator.at(Target(max_false_accept=_RATES[-1])).products
    facts: dict[str, object] = {"gallery": f"{layers}, revision {layers.central.revision}"}
    if layers.local is not None:
        facts["local layer"] = f"{layers.local}, revision {layers.local.revision}"
    facts.update(items=len(layers), products=products)
    if known is not None and known.queries:
        facts["labeled images"] = known.queries
    if known is not None and known.foreign:
        facts["foreign products"] = f"{known.foreign} of the bundle, as the gallery's are fewer than {FEWEST_PRODUCTS}"
    print_facts(facts)
    print_line()
    if known is not None and known.threshold is None:
        print_line(f"{count(products, 'product')}: too few for a threshold, which needs {FEWEST_PRODUCTS}.")
        print_line("The bundle's similarity threshold decides.")
        return
    sure = [_at(calibrator, replace(target, confidence=_SURE)) for target in targets]
    rows = [
        [_share(target), _score(one), _state(one), *_effect(calibrator, one), _score(promise)]
        for target, one, promise in zip(targets, found, sure, strict=True)
    ]
    print_table(["keeps", "score from", "state", "named right", "misnamed", f"{_SURE:.0%} sure from"], rows)
    for one in found:
        if isinstance(one, OptionError):
            print_note(f"warning: {one}")


def _share(target: Target) -> str:
    sure = "" if target.confidence is None else f", {percent(target.confidence)} sure"
    return f"{percent(target.rate)} {'wrong' if target.max_false_accept is None else 'accepts'}{sure}"


def _at(calibrator: Calibrator, target: Target) -> Calibration | OptionError:
    """Return the calibration, or why the products cannot keep the rate."""
    try:
        return calibrator.at(target, wait=True)
    except OptionError as error:
        return error


def _score(found: Calibration | OptionError) -> str:
    if isinstance(found, OptionError):
        return f"{found.missing} more needed" if isinstance(found, PromiseError) and found.missing else "refused"
    return "" if found.threshold is None else f"{found.threshold:.3f}"


def _state(found: Calibration | OptionError) -> str:
    return "refused" if isinstance(found, OptionError) else found.state


def _effect(calibrator: Calibrator, found: Calibration | OptionError) -> tuple[str, str]:
    effect = None if isinstance(found, OptionError) else calibrator.effect(found)
    return ("", "") if effect is None else (f"{effect[0]:.1%}", f"{effect[1]:.1%}")
