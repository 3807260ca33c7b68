"""Options that several commands share."""

from __future__ import annotations

import getpass
import math
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..bundle.networks import BUNDLE_VARIABLE, open_bundle
from ..engines import EngineName
from ..gallery import Gallery
from ..gallery.store import Meta
from ..ranges import MOST_THREADS
from ..recognizer import Recognizer
from ..stages.decode import DEFAULT_LIMITS, DecodeLimits

GALLERY_VARIABLE = "SHITU_EDGE_GALLERY"
PROFILE_VARIABLE = "SHITU_EDGE_PROFILE"


class Engine(str, Enum):
    """Values of --engine."""

    auto = "auto"
    openvino = "openvino"
    onnxruntime = "onnxruntime"


class Precision(str, Enum):
    """Values of --precision."""

    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"
    bf16 = "bf16"


def finite(value: float | None) -> float | None:
    """Refuse NaN and infinity, which lie in every range of typer's."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a number, found {value}")
    return value


Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        "-m",
        envvar=BUNDLE_VARIABLE,
        metavar="BUNDLE",
        help="Model bundle: a folder, or a name that `models list` shows. [default: the built-in one]",
        show_default=False,
    ),
]
GalleryPath = Annotated[
    Path, typer.Option("--gallery", "-g", envvar=GALLERY_VARIABLE, metavar="FILE", help="Gallery file.")
]
GalleryArgument = Annotated[Path, typer.Argument(metavar="GALLERY", help="Gallery file.")]
EngineOption = Annotated[Engine, typer.Option(help="Inference engine; auto takes OpenVINO, else onnxruntime.")]
PrecisionOption = Annotated[
    Precision | None, typer.Option(help="Precision of both networks. [default: each one's own]", show_default=False)
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, max=MOST_THREADS, help="Threads for inference. [default: a physical core each]", show_default=False
    ),
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        envvar=PROFILE_VARIABLE,
        metavar="FILE",
        help="Engine, precisions and threads that `tune` found. [default: none]",
        show_default=False,
    ),
]
MaxMegapixels = Annotated[
    int | None,
    typer.Option(
        "--max-megapixels",
        min=1,
        help="Largest image that is decoded, in million pixels; decoding takes up to 8 bytes of memory for each. "
        "[default: 80]",
        show_default=False,
    ),
]
Note = Annotated[str, typer.Option(help="Why, for the gallery's log.", show_default=False)]
Author = Annotated[
    str | None, typer.Option(help="Who, for the gallery's log. [default: your user name]", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def author_or_user(author: str | None) -> str:
    """Return who is named as the author, or else the user who runs the command."""
    if author is not None:
        return author
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return ""


def extractor_of(models: str | None) -> Meta:
    """Return what galleries of a bundle's extractor are for."""
    extractor = open_bundle(models).manifest.extractor
    return Meta(extractor.network.name, extractor.fingerprint, extractor.dim)


def decode_limits(max_megapixels: int | None) -> DecodeLimits:
    """Return what is too large an image, by the option."""
    return DEFAULT_LIMITS if max_megapixels is None else DecodeLimits(max_pixels=max_megapixels * 1_000_000)


def open_recognizer(
    models: str | None,
    gallery: Gallery | Path | None,
    engine: Engine,
    precision: Precision | None,
    threads: int | None,
    profile: Path | None = None,
    max_megapixels: int | None = None,
) -> Recognizer:
    """Open a recognizer as the options say."""
    name: EngineName = engine.value
    return Recognizer.open(
        models,
        gallery,
        engine=name,
        precision=precision.value if precision else None,
        threads=threads,
        profile=profile,
        limits=decode_limits(max_megapixels),
    )
