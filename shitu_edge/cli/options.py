"""Options that several commands share."""

from __future__ import annotations

import getpass
import math
import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ..bundle.networks import BUNDLE_VARIABLE, open_bundle
from ..engines import EngineName
from ..gallery import Gallery
from ..gallery.store import Meta
from ..imaging.formats import image_format
from ..ranges import MOST_THREADS
from ..recognizer import Recognizer
from ..stages.decode import DEFAULT_LIMITS, DecodeLimits
from ..stages.second_look import LookMode
from ..stages.view import View
from .command import GALLERY_VARIABLE, head_of, is_gallery

PROFILE_VARIABLE = "SHITU_EDGE_PROFILE"


class Look(str, Enum):
    """Values of --second-look."""

    auto = "auto"
    off = "off"
    always = "always"


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
    """Refuse NaN and infinity, which every range of typer lets through."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a number, found {value}")
    return value


def share(value: float | None) -> float | None:
    """Refuse the ends of a range from 0 to 1, and what typer lets through."""
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"expected a number between 0 and 1, found {value}")
    return value


def expect_gallery(path: Path) -> Path:
    """Refuse what is plainly another argument in GALLERY's place: a folder or an image."""
    kind = "a folder" if os.path.isdir(path) else image_format(head_of(path))
    if kind:
        found = kind if kind == "a folder" else f"an image ({kind})"
        raise typer.BadParameter(
            f"{path} is {found}, expected a gallery file: name it first, or set ${GALLERY_VARIABLE}"
        )
    return path


def expect_new_gallery(path: Path) -> Path:
    """Refuse a file that is not a gallery where one is created or added to, such as the images of swapped arguments."""
    expect_gallery(path)
    if head_of(path) and not is_gallery(path):
        raise typer.BadParameter(f"{path} exists and is not a gallery: GALLERY comes first, then what to put into it")
    return path


def expect_local(path: Path | None) -> Path | None:
    """Refuse a local layer that is missing: only a program that enrolls creates one."""
    if path is not None:
        expect_gallery(path)
        if not os.path.lexists(path):
            raise typer.BadParameter(f"there is no gallery {path}")
    return path


Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        "-m",
        envvar=BUNDLE_VARIABLE,
        metavar="BUNDLE",
        help="Model bundle: a folder, or a name from `models list`. [default: the built-in bundle]",
        show_default=False,
    ),
]
GalleryArgument = Annotated[
    Path,
    typer.Argument(metavar="GALLERY", help="Gallery file.", envvar=GALLERY_VARIABLE, callback=expect_gallery),
]
NewGalleryArgument = Annotated[
    Path,
    typer.Argument(
        metavar="GALLERY",
        help="Gallery file; created if missing.",
        envvar=GALLERY_VARIABLE,
        callback=expect_new_gallery,
    ),
]
LocalLayer = Annotated[
    Path | None,
    typer.Option(
        "--local",
        metavar="FILE",
        callback=expect_local,
        help="Local layer: another gallery file, whose items count too. [default: none]",
        show_default=False,
    ),
]
EngineOption = Annotated[
    Engine, typer.Option(help="Inference engine; auto uses OpenVINO if it works, else onnxruntime.")
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(help="Precision of both networks. [default: each network's own]", show_default=False),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="Threads for inference. [default: one per physical core]",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        envvar=PROFILE_VARIABLE,
        metavar="FILE",
        help="Engine, precisions and threads from a file that `tune` wrote. Explicit options override it. "
        "[default: none]",
        show_default=False,
    ),
]
MaxMegapixels = Annotated[
    int | None,
    typer.Option(
        "--max-megapixels",
        min=1,
        help="Largest image to decode, in millions of pixels; decoding takes up to 8 bytes of memory per pixel. "
        "[default: 80]",
        show_default=False,
    ),
]
MaxFalseAccept = Annotated[
    float | None,
    typer.Option(
        "--max-false-accept",
        callback=share,
        metavar="SHARE",
        help="Largest share of unknown objects that get a label, 0.01 for 1 %; the threshold is derived from the "
        "gallery. [default: the bundle's; between 0 and 1]",
        show_default=False,
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        "--confidence",
        callback=share,
        metavar="SHARE",
        help="Keep the share with this confidence, 0.9 for 90 %. [default: a best estimate; between 0 and 1]",
        show_default=False,
    ),
]
MaxWrong = Annotated[
    float | None,
    typer.Option(
        "--max-wrong",
        callback=share,
        metavar="SHARE",
        help="Largest share of all objects that get a wrong label, instead of --max-false-accept: unknown objects with "
        "any, and products with that of another. [between 0 and 1]",
        show_default=False,
    ),
]
UnknownShare = Annotated[
    float | None,
    typer.Option(
        "--unknown-share",
        min=0,
        max=1,
        callback=finite,
        metavar="SHARE",
        help="Share of the objects that are not enrolled, for --max-wrong and for probabilities. [default: 0.1]",
        show_default=False,
    ),
]
SecondLookOption = Annotated[
    Look,
    typer.Option(
        "--second-look",
        help="Compare local features with the gallery's photos: where the score leaves a doubt, if OpenCV is installed "
        "(extra opencv); never; or for every box.",
    ),
]
Note = Annotated[str, typer.Option(help="Reason for the change, for the gallery's log.", show_default=False)]
Author = Annotated[
    str | None,
    typer.Option(help="Who makes the change, for the gallery's log. [default: your user name]", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


def author_or_user(author: str | None) -> str:
    """Return the author named by the option, else the name of the user who runs the command."""
    if author is not None:
        return author
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return ""


def extractor_of(models: str | None) -> Meta:
    """Return the extractor of a bundle as galleries record it."""
    extractor = open_bundle(models).manifest.extractor
    return Meta(extractor.network.name, extractor.fingerprint, extractor.dim)


def decode_limits(max_megapixels: int | None) -> DecodeLimits:
    """Return the limits of decoding that --max-megapixels sets."""
    return DEFAULT_LIMITS if max_megapixels is None else DecodeLimits(max_pixels=max_megapixels * 1_000_000)


def open_recognizer(
    models: str | None,
    gallery: Gallery | Path | None,
    engine: Engine,
    precision: Precision | None,
    threads: int | None,
    profile: Path | None = None,
    max_megapixels: int | None = None,
    local: Path | None = None,
    second_look: LookMode = "auto",
    view: View | None = None,
) -> Recognizer:
    """Open a recognizer with the values of the options."""
    name: EngineName = engine.value
    return Recognizer.open(
        models,
        gallery,
        local=local,
        engine=name,
        precision=precision.value if precision else None,
        threads=threads,
        profile=profile,
        limits=decode_limits(max_megapixels),
        second_look=second_look,
        view=view,
    )
