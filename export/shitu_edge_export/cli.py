"""`shitu-edge-export`: parse, make one call, print, set the exit code."""

from __future__ import annotations

import json
import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from shitu_edge.bundle import Rule
from shitu_edge.engines.cache import user_cache
from shitu_edge.errors import ShituError, one_line
from shitu_edge.streams import close_stdout, open_streams

from .bundle import Options, export_bundle
from .folders import scratch_folder
from .inspection import inspect as inspect_model
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


class WholeImageOption(str, Enum):
    """Values of --whole-image."""

    always = "always"
    fallback = "fallback"
    never = "never"


ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model, or its graph's file.")]
Pictures = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder of pictures to measure on; may be repeated. [default: those of --calibrate, else drawn ones]",
        show_default=False,
    ),
]
Calibrate = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder of pictures (30 or more, 300 are better) to make INT8 from; may be repeated. With labels/ beside "
        "images/ (YOLO text), average precision is measured too.",
        show_default=False,
    ),
]
Products = Annotated[
    Path | None,
    typer.Option(help="Folder of pictures by product, to measure what INT8 costs in recall@1.", show_default=False),
]
InputSize = Annotated[
    int | None, typer.Option(min=64, help="Sides of the detector's input; smaller is faster.", show_default=False)
]
CropSize = Annotated[int | None, typer.Option(min=32, help="Sides of the extractor's input.", show_default=False)]
Half = Annotated[bool, typer.Option("--half", help="Also store weights in half precision: half the size.")]
Compact = Annotated[
    bool,
    typer.Option(
        "--compact",
        help="Store float32 once, as ONNX, which both engines read; OpenVINO IR is for other precisions alone.",
    ),
]
TolerancePx = Annotated[float, typer.Option(min=0, help="Pixels that a box may be off its source.")]
ToleranceScore = Annotated[float, typer.Option(min=0, help="What a score may be off.")]
ToleranceCosine = Annotated[float, typer.Option(max=1, help="Least cosine of an embedding with its source.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

_RULE = Rule()
_PX, _SCORE, _COSINE = Tolerances().max_px, Tolerances().max_score, Tolerances().min_cosine


@app.command()
def inspect(model: ModelArgument, as_json: AsJson = False) -> None:
    """Show what a model is, and what of it would not convert.

    Example: shitu-edge-export inspect picodet_PPLCNet_x2_5_mainbody_lite_v1.0_infer
    """
    found = inspect_model(model)
    print(json.dumps(found.facts(), ensure_ascii=False) if as_json else "\n".join(found.lines()))


@app.command()
def convert(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder to write; it appears when it is complete.")],
    input_size: Annotated[int | None, typer.Option(min=32, help="Sides of the input.", show_default=False)] = None,
    pictures: Pictures = None,
    tolerance: Annotated[float, typer.Option(max=1, help="Least cosine of an output with its source.")] = _COSINE,
    as_json: AsJson = False,
) -> None:
    """Convert one network of any kind to ONNX and OpenVINO IR, without a bundle.

    Example: shitu-edge-export convert ch_PP-OCRv3_det_infer --out converted --pictures photos/
    """
    limits = Tolerances(min_cosine=tolerance)
    _print(convert_single(model, out, input_size, pictures or [], limits, Progress()), out, as_json)


@app.command()
def bundle(
    detector: Annotated[Path, typer.Option(help="Detector: a folder or file, Paddle or ONNX.")],
    extractor: Annotated[Path, typer.Option(help="Extractor: a folder or file, Paddle or ONNX.")],
    out: Annotated[Path, typer.Option(help="Folder to write, e.g. models/NAME; an older bundle there is replaced.")],
    pictures: Pictures = None,
    calibrate: Calibrate = None,
    products: Products = None,
    input_size: InputSize = None,
    crop_size: CropSize = None,
    half: Half = False,
    compact: Compact = False,
    description: Annotated[str, typer.Option(help="What to say of the bundle.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "unstated",
    notes: Annotated[
        Path | None, typer.Option(help="Markdown to end the model card with.", exists=True, dir_okay=False)
    ] = None,
    detection_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which a box counts. [default: 0.2]", show_default=False),
    ] = None,
    max_boxes: Annotated[
        int | None, typer.Option(min=1, help="How many boxes are looked at. [default: 5]", show_default=False)
    ] = None,
    similarity_threshold: Annotated[
        float, typer.Option(min=-1, max=1, help="Cosine from which a product is named.")
    ] = _RULE.similarity_threshold,
    suppression_iou: Annotated[
        float, typer.Option(min=0, max=1, help="Overlap from which a surer item drops another.")
    ] = _RULE.suppression_iou,
    whole_image: Annotated[
        WholeImageOption, typer.Option(help="Whether the whole picture is looked up, too.")
    ] = WholeImageOption.always,
    tolerance_px: TolerancePx = _PX,
    tolerance_score: ToleranceScore = _SCORE,
    tolerance_cosine: ToleranceCosine = _COSINE,
    as_json: AsJson = False,
) -> None:
    """Make a bundle of a detector and an extractor.

    Example: shitu-edge-export bundle --detector det/ --extractor rec/ --out models/mine --calibrate photos/
    """
    options = Options(
        description=description,
        licence=licence,
        notes=notes.read_text(encoding="utf-8") if notes else "",
        score_threshold=detection_threshold,
        max_boxes=max_boxes,
        rule=Rule(
            similarity_threshold=similarity_threshold, suppression_iou=suppression_iou, whole_image=whole_image.value
        ),
        pictures=tuple(pictures or ()),
        calibrate=tuple(calibrate or ()),
        products=products,
        input_size=input_size,
        crop_size=crop_size,
        half=half,
        compact=compact,
        tolerances=Tolerances(tolerance_px, tolerance_score, tolerance_cosine),
    )
    _print(export_bundle(detector, extractor, out, options, Progress()), out, as_json)


@app.command()
def official(
    release: Annotated[str, typer.Argument(metavar="RELEASE", help=f"One of {', '.join(RELEASES)}.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. [default: models/RELEASE]", show_default=False)
    ] = None,
    mirror: Annotated[str, typer.Option(envvar="SHITU_EDGE_MIRROR", help="Where the archives are.")] = MIRROR,
    from_dir: Annotated[
        Path | None, typer.Option(help="Folder with the archives, for machines without network.", show_default=False)
    ] = None,
    detector_sha256: Annotated[
        str | None, typer.Option(help="What the detector's archive must be.", show_default=False)
    ] = None,
    extractor_sha256: Annotated[
        str | None, typer.Option(help="What the extractor's archive must be.", show_default=False)
    ] = None,
    pictures: Pictures = None,
    calibrate: Calibrate = None,
    products: Products = None,
    input_size: InputSize = None,
    half: Half = False,
    as_json: AsJson = False,
) -> None:
    """Download an official release of PP-ShiTu and make its bundle.

    Example: shitu-edge-export official ppshitu-v2
    """
    if release not in RELEASES:
        raise typer.BadParameter(f"{release!r}: expected one of {', '.join(RELEASES)}", param_hint="RELEASE")
    progress = Progress()
    chosen, target = RELEASES[release], out or Path("models") / release
    with scratch_folder() as scratch:
        if from_dir:
            fetched: Fetched = find_release(chosen, from_dir, scratch)
        else:
            cache = user_cache()
            folder = cache / "official" if cache else scratch
            fetched = fetch_release(chosen, folder, mirror, (detector_sha256, extractor_sha256), progress)
        options = Options(
            description=f"Official PP-ShiTu release {release}: any product by its photo, 512 numbers an embedding.",
            licence="Apache-2.0",
            downloads=tuple((entry.url, entry.size, entry.sha256) for entry in fetched.downloads),
            pictures=tuple(pictures or ()),
            calibrate=tuple(calibrate or ()),
            products=products,
            input_size=input_size,
            half=half,
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
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with a picture is an error, or not worth a word
    try:
        try:
            app()
        finally:
            close_stdout()
    except BrokenPipeError:  # who read the output has seen enough
        sys.exit(1)
    except ToleranceError as error:
        print_receipt(error.receipt)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (ShituError, OSError) as error:  # of the system's errors those about files that we write
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
