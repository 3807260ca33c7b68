"""One network of any kind to ONNX and IR, without a bundle: its outputs are compared number by number."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge.bundle import InputSpec, Network

from .bundle import load_images
from .checks import Comparison, variants_of
from .convert import Part, convert
from .errors import ModelError
from .folders import appearing, scratch_folder
from .kinds import PicoDet, image_input, recognize
from .measure import Feed, Variant, network_feed, open_variant
from .networks import fixed_sides, make_part, network_facts
from .parity import RowParity, compare_rows
from .preparation import DETECTOR, read_preparation
from .progress import Progress
from .receipt import RECEIPT, NetworkReceipt, Receipt, Tolerances
from .reference import run_source
from .source import Model, find_configuration, open_model
from .tools import tool_versions

_IMAGES = 4


def convert_single(
    place: Path,
    out: Path,
    input_size: int | None,
    images: Sequence[Path],
    tolerances: Tolerances,
    progress: Progress,
) -> Receipt:
    """Convert a network that takes one image, by both routes; of a PicoDet the part up to its head.

    Args:
        place: a model's folder or its graph's file.
        out: folder for `network.onnx`, `network.xml`, `network.bin` and `receipt.json`.
        input_size: sides of the input; the graph's own, or 640 where it has none.
        images: folders of images to compare on; drawn ones without.
        tolerances: `min_cosine` is that of each flattened output with the source's.
        progress: for the user.

    Raises:
        ModelError, ConversionError, ToleranceError, ExportError: see `bundle.export_bundle`.
    """
    with appearing(out, RECEIPT) as folder, scratch_folder() as work:
        model = open_model(place)
        part, network = _part(model, input_size, work)
        routes = tuple(filter(None, convert(part, work, progress)))
        pixels, origin = load_images(images)
        feeds = [network_feed(network, one) for one in pixels[:_IMAGES]]
        with progress.step("The source's outputs"):
            sources = run_source(part.path, part.weights, feeds)
            reference = [_flat(dict(zip(part.outputs, arrays, strict=True))) for arrays in sources]

        def measure(variant: Variant) -> RowParity:
            return compare_rows(np.stack(reference), np.stack(_run(variant, part, network, feeds)))

        checks = Comparison("Outputs", routes, measure, tolerances, progress).check_routes()
        chosen = next(route for route in routes if route.ir)
        receipt = Receipt(
            made_with=tool_versions(routes),
            images=f"{len(feeds)} of {origin}",
            tolerances=tolerances,
            networks=(
                NetworkReceipt(
                    "network",
                    network_facts(model, recognize(model).kind, part, chosen),
                    tuple({"name": route.name, "error": route.error} for route in routes),
                    checks,
                ),
            ),
        )
        receipt.require()
        for variant in variants_of(chosen):
            for file in variant.files:
                shutil.copyfile(file, folder / f"network{file.suffix}")
        receipt.write(folder)
    return receipt


def _part(model: Model, input_size: int | None, work: Path) -> tuple[Part, Network]:
    kind = recognize(model)
    graph = model.graph
    image = image_input(graph)
    if image is None or (len(graph.inputs) > 1 and not isinstance(kind, PicoDet)):
        raise ModelError(
            f"{model.path}: expected one input of images (N, 3, H, W), found {', '.join(graph.input_names)}"
        )
    preparation = read_preparation(find_configuration(model.path), DETECTOR)
    height, width = fixed_sides(model, image, preparation, input_size, "detector")
    values = kind.scores + kind.distances if isinstance(kind, PicoDet) else graph.outputs
    path = model.write_part(work / "part", [image], values)
    weights = path if path.suffix == ".onnx" else path.with_suffix(".pdiparams")
    outputs = tuple(f"output_{number}" for number in range(len(values)))
    part = make_part(model, image, path, weights, (1, 3, height, width), outputs, values)
    (name,) = part.shapes
    entry = InputSpec(name, height, width, preparation.resize, scale=preparation.scale)
    return part, Network(model.path.stem, str(model.path), "", {}, entry)


def _run(variant: Variant, part: Part, network: Network, feeds: Sequence[Feed]) -> list[NDArray[np.float32]]:
    session = open_variant(variant, network)
    answers = (session.run(feed) for feed in feeds)
    return [_flat({name: outputs[name] for name in part.outputs}) for outputs in answers]


def _flat(outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return all outputs as one row, each scaled so that none outweighs the others."""
    flat = [array.astype(np.float32).ravel() for array in outputs.values()]
    return np.concatenate([values / max(float(np.abs(values).max()), 1e-12) for values in flat])
