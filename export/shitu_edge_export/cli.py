"""`shitu-edge-export`: parse, make one call, print, set the exit code."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from shitu_edge.bundle import DecisionPolicy, WholeImage
from shitu_edge.engines.cache import user_cache
from shitu_edge.errors import ShituError, reason_of
from shitu_edge.system.streams import close_stdout, open_streams
from shitu_edge.system.text import MOST_IN_A_LINE, shown

from .bundle import Options, export_bundle
from .cohort import add_cohort
from .command import options_of
from .folders import scratch_folder
from .inspection import inspect as inspect_model
from .objectness import add_objectness
from .official import MIRROR, RELEASES, Fetched, fetch_release, find_release
from .progress import Progress
from .receipt import Receipt, ToleranceError, Tolerances, print_receipt
from .single import convert_single

app = typer.Typer(
    name="shitu-edge-export",
    help="Convert PP-ShiTu networks from Paddle (or ONNX) to bundles that shitu-edge runs.\n\n"
    "Exit codes: 0 done, 1 failed or tolerances missed, 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model, or its graph's file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_RULE, _EXACT = DecisionPolicy(), Tolerances()


@app.command()
def inspect(model: ModelArgument, as_json: AsJson = False) -> None:
    """Show what a model is, and which of its ops would not convert.

    Example: shitu-edge-export inspect picodet_PPLCNet_x2_5_mainbody_lite_v1.0_infer
    """
    found = inspect_model(model)
    print(json.dumps(found.facts(), ensure_ascii=False) if as_json else "\n".join(found.lines()))


@app.command()
@options_of(Options, "images")
def convert(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder to write; it appears when it is complete.")],
    input_size: Annotated[
        int | None, typer.Option(min=32, help="Side of the input in pixels. [default: the model's]", show_default=False)
    ] = None,
    tolerance: Annotated[
        float, typer.Option(max=1, help="Lowest accepted cosine of an output with the source's.")
    ] = _EXACT.min_cosine,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Convert one network of any kind to ONNX and OpenVINO IR, without a bundle.

    Example: shitu-edge-export convert ch_PP-OCRv3_det_infer --out converted --images photos/
    """
    limits = Tolerances(min_cosine=tolerance)
    _print(convert_single(model, out, input_size, given["images"], limits, Progress()), out, as_json)


@app.command()
@options_of(Options)
def bundle(
    detector: Annotated[Path, typer.Option(help="Detector: a folder or file, Paddle or ONNX.")],
    extractor: Annotated[Path, typer.Option(help="Extractor: a folder or file, Paddle or ONNX.")],
    out: Annotated[Path, typer.Option(help="Folder to write, e.g. models/NAME; an older bundle there is replaced.")],
    notes: Annotated[
        Path | None, typer.Option(help="Markdown to end the model card with.", exists=True, dir_okay=False)
    ] = None,
    similarity_threshold: Annotated[
        float, typer.Option(min=-1, max=1, help="Lowest cosine at which a product is named.")
    ] = _RULE.similarity_threshold,
    suppression_iou: Annotated[
        float, typer.Option(min=0, max=1, help="IoU above which the surer of two items drops the other.")
    ] = _RULE.suppression_iou,
    whole_image: Annotated[
        WholeImage, typer.Option(help="When to look up the whole image as well.")
    ] = _RULE.whole_image,
    max_false_accept: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Largest share of unknown objects that get a label, 0.01 for 1 %; the threshold is then derived from "
            "the gallery. [default: --similarity-threshold decides]",
            show_default=False,
        ),
    ] = None,
    tolerance_px: Annotated[
        float, typer.Option(min=0, help="Largest difference of a box from the source's, in pixels.")
    ] = _EXACT.max_px,
    tolerance_score: Annotated[
        float, typer.Option(min=0, help="Largest difference of a score from the source's.")
    ] = _EXACT.max_score,
    tolerance_cosine: Annotated[
        float, typer.Option(max=1, help="Lowest accepted cosine of an embedding with the source's.")
    ] = _EXACT.min_cosine,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Make a bundle of a detector and an extractor.

    Example: shitu-edge-export bundle --detector det/ --extractor rec/ --out models/mine --calibrate photos/
    """
    options = Options(
        notes=notes.read_text(encoding="utf-8") if notes else "",
        policy=DecisionPolicy(
            similarity_threshold=similarity_threshold,
            suppression_iou=suppression_iou,
            whole_image=whole_image,
            max_false_accept=max_false_accept,
        ),
        tolerances=Tolerances(tolerance_px, tolerance_score, tolerance_cosine),
        **given,
    )
    _print(export_bundle(detector, extractor, out, options, Progress()), out, as_json)


@app.command()
@options_of(Options, "cohort")
def cohort(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.", file_okay=False)],
    **given: Any,
) -> None:
    """Give a bundle embeddings of foreign products, by which galleries with few products are calibrated.

    Example: shitu-edge-export cohort models/mine --cohort photos-of-other-products/
    """
    if not given["cohort"]:
        raise typer.BadParameter("name a folder of photos", param_hint="--cohort")
    made = add_cohort(bundle, given["cohort"], Progress())
    threshold = made.manifest.policy.similarity_threshold
    print(f"{len(made.cohort())} foreign products; similarity threshold {threshold:.3f}; written to {bundle}")


@app.command()
@options_of(Options, "faint_threshold")
def objectness(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.", file_okay=False)],
    weights: Annotated[Path, typer.Argument(metavar="FILE", help="What `python -m training objectness` has written.")],
    **given: Any,
) -> None:
    """Give a bundle the network that tells products from lamps and print; a bundle may do without.

    Example: shitu-edge-export objectness models/mine build/objectness.npy
    """
    add_objectness(bundle, weights, given["faint_threshold"])
    print(f"written to {bundle}")


@app.command()
@options_of(Options, "images", "calibrate", "products", "input_size", "half", "cohort")
def official(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help=f"One of {', '.join(RELEASES)}.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. [default: models/RELEASE]", show_default=False)
    ] = None,
    mirror: Annotated[str, typer.Option(envvar="SHITU_EDGE_MIRROR", help="Base URL of the archives.")] = MIRROR,
    from_dir: Annotated[
        Path | None, typer.Option(help="Folder with the archives, for machines without network.", show_default=False)
    ] = None,
    detector_sha256: Annotated[
        str | None,
        typer.Option(
            help="SHA-256 of the detector's archive. [default: that of the first download]",
            show_default=False,
        ),
    ] = None,
    extractor_sha256: Annotated[
        str | None,
        typer.Option(
            help="SHA-256 of the extractor's archive. [default: known for ppshitu-v2, else that of the first download]",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Download an official release of PP-ShiTu and make its bundle.

    Example: shitu-edge-export official ppshitu-v2
    """
    if release not in RELEASES:
        raise typer.BadParameter(f"{release!r}: expected one of {', '.join(RELEASES)}", param_hint="RELEASE")
    progress = Progress()
    chosen, target = RELEASES[release], out or Path("models") / release
    digests = (detector_sha256, extractor_sha256)
    with scratch_folder() as scratch:
        if from_dir:
            fetched: Fetched = find_release(chosen, from_dir, digests, scratch)
        else:
            cache = user_cache()
            folder = cache / "official" if cache else scratch
            fetched = fetch_release(chosen, folder, mirror, digests, progress)
        options = Options(
            description=f"Official PP-ShiTu release {release}: any product by its photo, 512 numbers an embedding.",
            license="Apache-2.0",
            downloads=tuple((entry.url, entry.size, entry.sha256) for entry in fetched.downloads),
            **given,
        )
        _print(export_bundle(fetched.detector, fetched.extractor, target, options, progress), target, as_json)


def _print(receipt: Receipt, out: Path, as_json: bool) -> None:
    if as_json:
        print(receipt.to_json())
    else:
        print_receipt(receipt)
        print(f"written to {out}")


def main() -> None:
    """Run the command line."""
    open_streams()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # damage to an image is an error, or does not matter
    try:
        try:
            app()
        finally:
            close_stdout()
    except BrokenPipeError:  # the reader of the output has closed it
        sys.exit(1)
    except ToleranceError as error:
        print_receipt(error.receipt)
        print(shown(f"error: {error}", MOST_IN_A_LINE), file=sys.stderr)
        sys.exit(1)
    except (ShituError, OSError) as error:  # an OSError is about a file that we write
        print(shown(f"error: {reason_of(error)}", MOST_IN_A_LINE), file=sys.stderr)
        sys.exit(1)
