"""`python -m training`: one command a step, from folders of images to networks."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from shitu_edge_export.command import options_of

from shitu_edge.errors import ShituError

from .averaging import average_weights
from .checkpoint import load_checkpoint, save_checkpoint
from .detector.options import DetectorOptions, Source
from .detector.train import train_detector
from .extractor.distil import distil
from .extractor.evaluate import evaluate
from .extractor.options import DistilOptions, ExtractorOptions
from .extractor.packs import Pack, pack_images
from .extractor.refit import TURNED, refit
from .extractor.teaching import Focus, find_focus, teach
from .extractor.train import CHECKPOINT, load_extractor, train_extractor
from .objectness.train import train_objectness
from .options import Seed, Share, Threads, shares
from .paddle.parcel import Network
from .paddle.weights import export_weights, import_weights
from .paste.close_ups import paste_close_ups
from .paste.pseudo_labels import grocery_photos, label_photos
from .paste.scenes import paste_scenes
from .paste.shelves import paste_shelves
from .paste.teacher import open_localizer
from .progress import bar
from .render.demo import draw_demo
from .render.files import CropOptions, Out, SceneOptions, render_crops, render_scenes

app = typer.Typer(
    help="Train PP-ShiTu's networks on your own products; training/README.md shows the steps in order.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


Products = Annotated[list[Share], shares("Packs of products to tell apart.")]
Shared = Annotated[Path, typer.Option(help="Folder that holds the data sets.")]


@app.command()
def pack(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Images, a subfolder per product.")],
    out: Out,
    side: Annotated[int, typer.Option(min=32, help="Side of the stored images in pixels.")] = 192,
    each_its_own: Annotated[
        bool, typer.Option("--each-its-own", help="Treat every image as its own product, whatever its folder.")
    ] = False,
) -> None:
    """Read images once into a pack that training draws from.

    Example: python -m training pack products/ --out build/products
    """
    with bar("Reading images") as progress:
        made = pack_images(folders, out, side, each_its_own, progress)
    print(f"{out}: {len(made)} images of {len(made.names)} things")


@app.command("focus")
def focus_teacher(
    products: Products,
    model: Annotated[list[Path], typer.Option(help="Teacher, see `teach`; may be repeated.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Find the directions of teachers' maps that tell products apart, to teach those alone.

    Example: python -m training focus --products build/products --model mobilenet_v1.tflite --out build/focus.npz
    """
    packs = [(Pack.open(path), share) for path, share in products]
    with bar("Asking the teacher") as progress:
        find_focus(packs, model, progress).save(out)


@app.command("teach")
def teach_pack(
    packed: Annotated[Path, typer.Argument(metavar="PACK")],
    model: Annotated[Path, typer.Option(help="Network that embeds uint8 RGB images, of a format OpenVINO reads.")],
    focus: Annotated[Path, typer.Option(help="File of `focus`; the same for all packs.")],
    views: Annotated[int, typer.Option(min=1, help="Views per image.")] = 4,
) -> None:
    """Store a teacher's answers next to a pack, for `extractor` to distil from.

    Example: python -m training teach build/products --model mobilenet_v1_embedding.tflite --focus build/focus.npz
    """
    with bar("Asking the teacher") as progress:
        vectors = teach(Pack.open(packed), model, views, progress, Focus.load(focus))
    print(f"{packed}: {vectors.shape[0]} × {views} vectors of {vectors.shape[2]} numbers")


@app.command()
@options_of(ExtractorOptions)
def extractor(**given: Any) -> None:
    """Train an extractor; started again with the same options, it continues where it stopped.

    Example: python -m training extractor --products build/products --out build/extractor
    """
    with bar("Training the extractor") as progress:
        train_extractor(ExtractorOptions(**given), progress)


@app.command("distil")
@options_of(DistilOptions)
def distil_extractor(**given: Any) -> None:
    """Distil teachers into an extractor, asking them about every view, on a GPU; `refit` it afterward.

    Example: python -m training distil build/products --model net.onnx --focus build/focus.npz --out build/taught
    """
    with bar("Distilling") as progress:
        distil(DistilOptions(**given), progress)


@app.command("refit")
def refit_extractor(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT")],
    products: Products,
    out: Out,
    side: Annotated[int, typer.Option(min=32, help="Side in pixels.")] = 160,
    views: Annotated[int, typer.Option(min=0, help="Views per image, besides the whole image.")] = 1,
    stages: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of the backbone's last stages that the embedding uses.", show_default="as before"
        ),
    ] = None,
    varied: Annotated[
        list[Share] | None,
        shares("Packs in which each image is its own product; they count between products, not within."),
    ] = None,
    turned: Annotated[
        float, typer.Option(min=0, help="Weight of images turned by 90, 180 and 270 degrees; 0: upright alone.")
    ] = TURNED,
    threads: Threads = None,
) -> None:
    """Fit the last layer of a trained extractor to the products of some packs, in closed form, without training.

    Example: python -m training refit build/extractor/extractor.pt --products build/products --out build/refit
    """
    if threads:
        torch.set_num_threads(threads)
    state = load_checkpoint(checkpoint, "extractor")
    packs, others = ([(Pack.open(path), share) for path, share in some] for some in (products, varied or ()))
    with bar("Looking at products") as progress:
        made = refit(load_extractor(checkpoint), packs, side, views, progress, stages, others, turned)
    named = {"products": products, "varied": varied or ()}
    listed = {name: [[str(path), share] for path, share in some] for name, some in named.items()}
    facts = {**listed, "side": side, "views": views, "turned": turned}
    out.mkdir(parents=True, exist_ok=True)
    options = state["options"] | made.facts | {"refit": facts}
    save_checkpoint(out / CHECKPOINT, {"kind": "extractor", "options": options, "network": made.state_dict()})


@app.command("evaluate")
def evaluate_extractor(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT")],
    gallery: Annotated[Path, typer.Option(help="Pack to search in.")],
    queries: Annotated[Path, typer.Option(help="Pack of queries.")],
    side: Annotated[int, typer.Option(min=32, help="Side in pixels.")] = 176,
) -> None:
    """Print recall@1 and mean average precision of a trained extractor.

    Example: python -m training evaluate build/extractor/extractor.pt --gallery build/train --queries build/test
    """
    print(json.dumps(asdict(evaluate(load_extractor(checkpoint), Pack.open(gallery), Pack.open(queries), side))))


@app.command()
@options_of(DetectorOptions)
def detector(
    photos: Annotated[
        list[Share],
        typer.Option(
            metavar="FOLDER[=SHARE]", parser=Share.parse, help="Photos with boxes: images/ and labels/ (YOLO text)."
        ),
    ],
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the first folder to measure on.")] = 0.2,
    **given: Any,
) -> None:
    """Train a detector; started again with the same options, it continues where it stopped.

    Example: python -m training detector --photos shelves/ --out build/detector
    """
    first, *others = photos
    sources = (Source(*first, held_out), *(Source(*one) for one in others))
    with bar("Training the detector") as progress:
        train_detector(DetectorOptions(sources, **given), progress)


@app.command()
def objectness(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.")],
    photos: Annotated[
        list[Share],
        typer.Option(
            metavar="FOLDER[=SHARE]", parser=Share.parse, help="Photos with boxes: images/ and labels/ (YOLO text)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write, .npy, for `shitu-edge-export objectness`.")],
    faint_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which boxes count. [default: the bundle's]", show_default=False),
    ] = None,
    most: Annotated[int, typer.Option(min=5, help="Photos of each folder after the first.")] = 350,
    seed: Seed = 1,
) -> None:
    """Train the network that tells products from what else a bundle's detector finds; the first folder is measured on.

    Example: python -m training objectness models/mine --photos shelves/ --out build/objectness.npy
    """
    with bar("Looking at photos") as progress:
        weights, figures = train_objectness(bundle, photos, faint_threshold, most, seed, progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.save(out, weights.astype(np.float16), allow_pickle=False)
    print(json.dumps(figures))


@app.command("average")
def average(
    kind: Annotated[Network, typer.Argument(help="Kind of network in the checkpoints.")],
    checkpoints: Annotated[list[Path], typer.Argument(metavar="CHECKPOINT...", help="Runs that began alike.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Write the mean of several runs' weights.

    Example: python -m training average detector build/one/detector.pt build/two/detector.pt --out build/mean
    """
    out.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out / f"{kind.value}.pt", average_weights(kind.value, checkpoints))


@app.command("draw-crops")
@options_of(CropOptions)
def draw_crops(**given: Any) -> None:
    """Draw a pack of invented products, as a detector would crop them.

    Example: python -m training draw-crops --out build/drawn
    """
    with bar("Drawing products") as progress:
        render_crops(CropOptions(**given), progress)


@app.command("draw-scenes")
@options_of(SceneOptions)
def draw_scenes(**given: Any) -> None:
    """Draw counters and shelves with exact boxes, in YOLO's layout.

    Example: python -m training draw-scenes --out build/drawn-scenes
    """
    with bar("Drawing scenes") as progress:
        render_scenes(SceneOptions(**given), progress)


@app.command("paste-scenes")
def paste(out: Out, shared: Shared, count: Annotated[int, typer.Option(min=1)] = 1500, seed: Seed = 1) -> None:
    """Paste cut-outs of real objects on photos of surfaces, with exact boxes, in YOLO's layout.

    Example: python -m training paste-scenes --out build/pasted --shared ../shared
    """
    with bar("Pasting scenes") as progress:
        paste_scenes(out, count, seed, shared, progress)


@app.command("paste-shelves")
def shelves(out: Out, shared: Shared, count: Annotated[int, typer.Option(min=1)] = 1500, seed: Seed = 1) -> None:
    """Fill the shelves of drawn fridges and shops with small products, with exact boxes, in YOLO's layout.

    Example: python -m training paste-shelves --out build/shelves --shared ../shared
    """
    with bar("Filling shelves") as progress:
        paste_shelves(out, count, seed, shared, progress)


@app.command("paste-close-ups")
def close_ups(out: Out, shared: Shared, count: Annotated[int, typer.Option(min=1)] = 1500, seed: Seed = 1) -> None:
    """Paste large products on plain grounds and advertisements, with exact boxes, in YOLO's layout.

    Example: python -m training paste-close-ups --out build/close-ups --shared ../shared
    """
    with bar("Pasting close-ups") as progress:
        paste_close_ups(out, count, seed, shared, progress)


@app.command("label-photos")
def label(out: Out, shared: Shared) -> None:
    """Label grocery photos with the object localizer's boxes; skip photos on which it disagrees with itself.

    Example: python -m training label-photos --out build/grocery --shared ../shared
    """
    with bar("Labeling photos") as progress:
        localizer = open_localizer(shared / "models/mobile_object_localizer.onnx")
        label_photos(grocery_photos(shared), out, localizer, progress)


@app.command("draw-demo")
def demo(out: Out, seed: Seed = 1) -> None:
    """Draw the images of `shitu-edge demo`.

    Example: python -m training draw-demo --out examples/samples
    """
    draw_demo(out, seed)


@app.command("export-weights")
def weights(
    kind: Annotated[Network, typer.Argument(help="Kind of network in the checkpoint.")],
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT")],
    out: Out,
    side: Annotated[int, typer.Option(min=32, help="Height of the network's input in pixels.")],
    width: Annotated[
        int | None, typer.Option(min=32, help="Width of the input in pixels.", show_default="--side")
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="Photo to compare the networks on, in addition to noise.")
    ] = None,
) -> None:
    """Write weights, and outputs to check them with, for `python -m training.paddle`.

    Example: python -m training export-weights extractor build/extractor/extractor.pt --out build/parcel --side 176
    """
    export_weights(kind.value, checkpoint, out, side, width or side, images or ())


@app.command("import-weights")
def import_paddle(
    kind: Annotated[Network, typer.Argument(help="Kind of network.")],
    parcel: Annotated[Path, typer.Argument(metavar="PARCEL", help="Folder of `python -m training.paddle take-back`.")],
    out: Out,
) -> None:
    """Write a checkpoint of a network taken back from Paddle, for --initial and `refit`.

    Example: python -m training import-weights extractor build/parcel --out build/start
    """
    import_weights(kind.value, parcel, out)


def main() -> None:
    """Run the command line: 0 done, 1 failed, 2 wrong usage."""
    try:
        app()
    except (ShituError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
