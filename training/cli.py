"""`python -m training`: one command a step, from folders of pictures to networks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .checkpoint import load_checkpoint, save_checkpoint
from .detector.options import DetectorOptions, Source
from .detector.train import train_detector
from .extractor.distil import DistilOptions, distil
from .extractor.evaluate import evaluate
from .extractor.packs import Pack, pack_pictures
from .extractor.refit import refit
from .extractor.teaching import Focus, find_focus, teach
from .extractor.train import CHECKPOINT, ExtractorOptions, load_extractor, train_extractor
from .paddle.parcel import Network
from .paddle.weights import export_weights, import_weights
from .paste.pseudo_labels import grocery_photos, label_photos
from .paste.scenes import paste_scenes
from .render.demo import draw_demo
from .render.files import render_crops, render_scenes

app = typer.Typer(
    help="Train PP-ShiTu's networks on your own products; training/README.md shows the steps in order.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


class Backbone(str, Enum):
    """Values of --backbone."""

    lcnet = "lcnet"
    lcnet_v2 = "lcnet_v2"


Out = Annotated[Path, typer.Option(help="Folder to write.")]
Seed = Annotated[int, typer.Option(help="Another seed draws other data.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="PyTorch's")]
Surfaces = Annotated[Path | None, typer.Option(help="Folder of photos of surfaces. [default: drawn ones]")]
Processes = Annotated[int, typer.Option(min=1, help="How many draw at once.")]
Initial = Annotated[Path | None, typer.Option(help="Checkpoint to start from, of the same backbone and width.")]
BackboneKind = Annotated[Backbone, typer.Option(help="PP-LCNet or PP-LCNetV2.")]
Scale = Annotated[float, typer.Option(help="Width of the backbone.")]
Dim = Annotated[int, typer.Option(help="Numbers an embedding.")]
Stages = Annotated[int, typer.Option(min=1, help="How many of the backbone's last stages the embedding is made of.")]
Shared = Annotated[Path, typer.Option(help="Folder that holds the data sets.")]


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr: a bar on a terminal, else a line every twentieth of the way."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(title)
        said = 0

        def report(done: int, total: int) -> None:
            nonlocal said
            bars.update(task, completed=done, total=total)
            if not console.is_terminal and 20 * done // total > said:
                said = 20 * done // total
                console.print(f"{title}: {done} of {total}")

        yield report


@app.command()
def pack(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Pictures, a subfolder per product.")],
    out: Out,
    side: Annotated[int, typer.Option(min=32, help="Pixels a side of the stored pictures.")] = 192,
    each_its_own: Annotated[
        bool, typer.Option("--each-its-own", help="Every picture is a thing of its own, whatever its folder.")
    ] = False,
) -> None:
    """Read pictures once into a pack that training draws from.

    Example: python -m training pack products/ --out build/products
    """
    with _bar("Reading pictures") as progress:
        made = pack_pictures(folders, out, side, each_its_own, progress)
    print(f"{out}: {len(made)} pictures of {len(made.names)} things")


@app.command("focus")
def focus_teacher(
    products: Annotated[list[str], typer.Option(metavar="PACK[=SHARE]", help="Packs of products to tell apart.")],
    model: Annotated[list[Path], typer.Option(help="A teacher, see `teach`; several side by side are one.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Find out what of all that teachers see tells products apart, to teach that alone.

    Example: python -m training focus --products build/products --model mobilenet_v1.tflite --out build/focus.npz
    """
    packs = [(Pack.open(path), share) for path, share in _shares(products)]
    with _bar("Asking the teacher") as progress:
        find_focus(packs, model, progress).save(out)


@app.command("teach")
def teach_pack(
    packed: Annotated[Path, typer.Argument(metavar="PACK")],
    model: Annotated[Path, typer.Option(help="Network that embeds uint8 RGB pictures, of a format OpenVINO reads.")],
    views: Annotated[int, typer.Option(min=1, help="Views of each picture.")] = 4,
    focus: Annotated[
        Path | None, typer.Option(help="What of it to teach, from `focus`; the same for all packs.")
    ] = None,
) -> None:
    """Keep what a teacher says beside a pack, to distil from.

    Example: python -m training teach build/products --model mobilenet_v1_embedding.tflite
    """
    of_interest = Focus.load(focus) if focus else None
    with _bar("Asking the teacher") as progress:
        vectors = teach(Pack.open(packed), model, views, progress, of_interest)
    print(f"{packed}: {vectors.shape[0]} × {views} vectors of {vectors.shape[2]} numbers")


def _shares(given: list[str]) -> tuple[tuple[Path, float], ...]:
    """Read `PATH` or `PATH=SHARE`."""
    parsed = []
    for entry in given:
        path, _, share = entry.partition("=")
        try:
            parsed.append((Path(path), float(share or 1)))
        except ValueError:
            raise ValueError(f"{entry}: expected FOLDER or FOLDER=SHARE with a number") from None
    return tuple(parsed)


_DEFAULT = ExtractorOptions(Path(), ())


@app.command()
def extractor(
    products: Annotated[list[str], typer.Option(metavar="PACK[=SHARE]", help="Packs of products to tell apart.")],
    out: Out,
    shallow: Annotated[
        list[str] | None,
        typer.Option(metavar="PACK[=SHARE]", help="Packs of products that teach the backbone through a teacher alone."),
    ] = None,
    varied: Annotated[
        list[str] | None, typer.Option(metavar="PACK[=SHARE]", help="Packs in which each picture is its own thing.")
    ] = None,
    gallery: Annotated[Path | None, typer.Option(help="Pack to measure against, with --queries.")] = None,
    queries: Annotated[Path | None, typer.Option(help="Pack whose pictures are looked up in --gallery.")] = None,
    initial: Initial = None,
    backbone: BackboneKind = Backbone.lcnet,
    scale: Scale = _DEFAULT.scale,
    dim: Dim = _DEFAULT.dim,
    stages: Stages = _DEFAULT.stages,
    steps: Annotated[int, typer.Option(min=1)] = _DEFAULT.steps,
    batch: Annotated[int, typer.Option(min=8)] = _DEFAULT.batch,
    side: Annotated[int, typer.Option(min=32, help="Pixels a side in most steps.")] = _DEFAULT.side,
    final_side: Annotated[int, typer.Option(min=32, help="Pixels a side in the last ones.")] = _DEFAULT.final_side,
    eval_side: Annotated[int, typer.Option(min=32, help="Pixels a side when measuring.")] = _DEFAULT.eval_side,
    distil: Annotated[float, typer.Option(min=0, help="Weight of the teacher; 0: none.")] = _DEFAULT.distil,
    classify: Annotated[float, typer.Option(min=0, help="Weight of ArcMargin.")] = _DEFAULT.classify,
    triplet: Annotated[float, typer.Option(min=0, help="Weight of the triplet loss.")] = _DEFAULT.triplet,
    learning_rate: Annotated[float, typer.Option()] = _DEFAULT.learning_rate,
    eval_every: Annotated[int, typer.Option(min=1, help="Steps between measurements.")] = _DEFAULT.eval_every,
    seed: Seed = _DEFAULT.seed,
    threads: Threads = None,
) -> None:
    """Train an extractor; started again with the same options, go on where it stopped.

    Example: python -m training extractor --products build/products --out build/extractor
    """
    options = ExtractorOptions(
        out=out,
        products=_shares(products),
        shallow=_shares(shallow or []),
        varied=_shares(varied or []),
        gallery=gallery,
        queries=queries,
        initial=initial,
        backbone=backbone.value,
        scale=scale,
        dim=dim,
        stages=stages,
        steps=steps,
        batch=batch,
        side=side,
        final_side=final_side,
        eval_side=eval_side,
        distil=distil,
        classify=classify,
        triplet=triplet,
        learning_rate=learning_rate,
        eval_every=eval_every,
        seed=seed,
        threads=threads,
    )
    with _bar("Training the extractor") as progress:
        train_extractor(options, progress)


_TAUGHT = DistilOptions(Path(), (), (), Path())


@app.command("distil")
def distil_extractor(
    packs: Annotated[list[str], typer.Argument(metavar="PACK[=SHARE]...", help="Pictures to learn from.")],
    model: Annotated[list[Path], typer.Option(help="A teacher, see `teach`; several side by side are one.")],
    focus: Annotated[Path, typer.Option(help="What of them to teach, from `focus` with the same --model.")],
    out: Out,
    initial: Initial = None,
    backbone: BackboneKind = Backbone.lcnet,
    scale: Scale = _TAUGHT.scale,
    dim: Dim = _TAUGHT.dim,
    stages: Stages = _TAUGHT.stages,
    steps: Annotated[int, typer.Option(min=1)] = _TAUGHT.steps,
    batch: Annotated[int, typer.Option(min=8)] = _TAUGHT.batch,
    side: Annotated[int, typer.Option(min=32, help="Pixels a side that the student sees.")] = _TAUGHT.side,
    mixed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the views with a box that shows another picture.")
    ] = _TAUGHT.mixed,
    learning_rate: Annotated[float, typer.Option()] = _TAUGHT.learning_rate,
    seed: Seed = _TAUGHT.seed,
) -> None:
    """Teach an extractor by asking teachers about every view that it sees, on a GPU; `refit` it afterwards.

    Example: python -m training distil build/products --model net.onnx --focus build/focus.npz --out build/taught
    """
    options = DistilOptions(
        out=out,
        packs=_shares(packs),
        models=tuple(model),
        focus=focus,
        initial=initial,
        backbone=backbone.value,
        scale=scale,
        dim=dim,
        stages=stages,
        steps=steps,
        batch=batch,
        side=side,
        mixed=mixed,
        learning_rate=learning_rate,
        seed=seed,
    )
    with _bar("Distilling") as progress:
        distil(options, progress)


@app.command("refit")
def refit_extractor(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT")],
    products: Annotated[list[str], typer.Option(metavar="PACK[=SHARE]", help="Packs of products to tell apart.")],
    out: Out,
    side: Annotated[int, typer.Option(min=32, help="Pixels a side.")] = _DEFAULT.final_side,
    views: Annotated[int, typer.Option(min=0, help="Of each picture, besides the whole.")] = 1,
    stages: Annotated[
        int | None,
        typer.Option(min=1, help="How many of the backbone's last stages to look at.", show_default="as before"),
    ] = None,
    mirrored: Annotated[
        bool | None,
        typer.Option("--mirrored/--plain", help="Whether to look at mirror images too.", show_default="as before"),
    ] = None,
    threads: Threads = None,
) -> None:
    """Give a trained extractor another last layer, that tells the products of some packs apart; no training.

    Example: python -m training refit build/extractor/extractor.pt --products build/products --out build/refit
    """
    if threads:
        torch.set_num_threads(threads)
    state = load_checkpoint(checkpoint, "extractor")
    shares = _shares(products)
    packs = [(Pack.open(path), share) for path, share in shares]
    with _bar("Looking at products") as progress:
        made = refit(load_extractor(checkpoint), packs, side, views, progress, stages, mirrored)
    facts = {"products": [[str(path), share] for path, share in shares], "side": side, "views": views}
    out.mkdir(parents=True, exist_ok=True)
    options = state["options"] | made.facts | {"refit": facts}
    save_checkpoint(out / CHECKPOINT, {"kind": "extractor", "options": options, "network": made.state_dict()})


@app.command("evaluate")
def evaluate_extractor(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT")],
    gallery: Annotated[Path, typer.Option(help="Pack to look up in.")],
    queries: Annotated[Path, typer.Option(help="Pack to look up.")],
    side: Annotated[int, typer.Option(min=32, help="Pixels a side.")] = _DEFAULT.eval_side,
) -> None:
    """Print recall@1 and mean average precision of a trained extractor.

    Example: python -m training evaluate build/extractor/extractor.pt --gallery build/train --queries build/test
    """
    print(json.dumps(asdict(evaluate(load_extractor(checkpoint), Pack.open(gallery), Pack.open(queries), side))))


@app.command()
def detector(
    photos: Annotated[
        list[str], typer.Option(metavar="FOLDER[=SHARE]", help="Photos with boxes: images/ and labels/ (YOLO text).")
    ],
    out: Out,
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the first folder to measure on.")] = 0.2,
    scale: Annotated[float, typer.Option(help="Width of PP-LCNet.")] = 0.5,
    channels: Annotated[int, typer.Option(help="Of neck and head.")] = 64,
    side: Annotated[int, typer.Option(help="Pixels a side of the input.")] = 320,
    steps: Annotated[int, typer.Option(min=1)] = 3200,
    batch: Annotated[int, typer.Option(min=1)] = 16,
    learning_rate: Annotated[float, typer.Option()] = 2e-3,
    backbone: Annotated[
        Path | None, typer.Option(help="Checkpoint of an extractor of the same width to start from.")
    ] = None,
    initial: Annotated[
        Path | None, typer.Option(help="Checkpoint of a detector of the same size to start from.")
    ] = None,
    eval_every: Annotated[int, typer.Option(min=1, help="Steps between measurements.")] = 250,
    seed: Seed = 1,
    threads: Threads = None,
) -> None:
    """Train a detector; started again with the same options, go on where it stopped.

    Example: python -m training detector --photos shelves/ --out build/detector
    """
    shares = _shares(photos)
    sources = tuple(
        Source(folder, share, held_out if index == 0 else 0.0) for index, (folder, share) in enumerate(shares)
    )
    options = DetectorOptions(
        sources=sources,
        out=out,
        scale=scale,
        channels=channels,
        side=side,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        backbone=backbone,
        initial=initial,
        eval_every=eval_every,
        seed=seed,
        threads=threads,
    )
    with _bar("Training the detector") as progress:
        train_detector(options, progress)


@app.command("draw-crops")
def draw_crops(
    out: Out,
    identities: Annotated[int, typer.Option(min=1, help="Products; four in a row are one brand.")] = 1600,
    views: Annotated[int, typer.Option(min=1, help="Pictures a product.")] = 10,
    size: Annotated[int, typer.Option(min=32, help="Pixels a side.")] = 176,
    surfaces: Surfaces = None,
    seed: Seed = 1,
    processes: Processes = 1,
) -> None:
    """Draw a pack of products that nobody sells, as a detector's crops would show them.

    Example: python -m training draw-crops --out build/drawn
    """
    with _bar("Drawing products") as progress:
        render_crops(out, identities, views, size, seed, surfaces, processes, progress)


@app.command("draw-scenes")
def draw_scenes(
    out: Out,
    count: Annotated[int, typer.Option(min=1)] = 1500,
    surfaces: Surfaces = None,
    seed: Seed = 1,
    processes: Processes = 1,
) -> None:
    """Draw counters and shelves with exact boxes, in YOLO's layout.

    Example: python -m training draw-scenes --out build/drawn-scenes
    """
    with _bar("Drawing scenes") as progress:
        render_scenes(out, count, seed, surfaces, processes, progress)


@app.command("paste-scenes")
def paste(out: Out, shared: Shared, count: Annotated[int, typer.Option(min=1)] = 1500, seed: Seed = 1) -> None:
    """Paste cut-outs of real objects on photos of surfaces, with exact boxes, in YOLO's layout.

    Example: python -m training paste-scenes --out build/pasted --shared ../shared
    """
    with _bar("Pasting scenes") as progress:
        paste_scenes(out, count, seed, shared, progress)


@app.command("label-photos")
def label(out: Out, shared: Shared) -> None:
    """Let the object localizer draw boxes on grocery photos, and keep those that can be trusted.

    Example: python -m training label-photos --out build/grocery --shared ../shared
    """
    with _bar("Labelling photos") as progress:
        label_photos(grocery_photos(shared), out, shared, progress)


@app.command("draw-demo")
def demo(out: Out, seed: Seed = 1) -> None:
    """Draw the pictures of `shitu-edge demo`.

    Example: python -m training draw-demo --out examples/samples
    """
    draw_demo(out, seed)


@app.command("export-weights")
def weights(
    kind: Annotated[Network, typer.Argument(help="What the checkpoint holds.")],
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT")],
    out: Out,
    side: Annotated[int, typer.Option(min=32, help="Pixels a side of the network's input.")],
    width: Annotated[
        int | None, typer.Option(min=32, help="Of an input that is not square: --side is its height.")
    ] = None,
    pictures: Annotated[
        list[Path] | None, typer.Option(help="Photos to compare the networks on, beside noise.")
    ] = None,
) -> None:
    """Write weights, and answers to check them by, for `python -m training.paddle`.

    Example: python -m training export-weights extractor build/extractor/extractor.pt --out build/parcel --side 176
    """
    export_weights(kind.value, checkpoint, out, side, width or side, pictures or ())


@app.command("import-weights")
def import_paddle(
    kind: Annotated[Network, typer.Argument(help="What it holds.")],
    parcel: Annotated[Path, typer.Argument(metavar="PARCEL", help="Folder of `python -m training.paddle take-back`.")],
    out: Out,
) -> None:
    """Write a checkpoint of a network that came back from Paddle, for --initial and `refit`.

    Example: python -m training import-weights extractor build/parcel --out build/start
    """
    import_weights(kind.value, parcel, out)


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 wrong usage."""
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
