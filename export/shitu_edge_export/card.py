"""A bundle's model card: what it is, from what, what was measured; the rest stands in `receipt.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shitu_edge.bundle import Manifest, Network
from shitu_edge.calibration import FEWEST_PRODUCTS

from .receipt import RECEIPT, NetworkReceipt, Receipt, describe


def write_card(folder: Path, manifest: Manifest, receipt: Receipt, notes: str) -> None:
    """Write `README.md` into a bundle's folder; it ends with `notes`, Markdown, if there are any."""
    text = "\n".join(_lines(manifest, receipt)) + "\n"
    if notes:
        text += f"\n{notes.strip()}\n"
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")


def _lines(manifest: Manifest, receipt: Receipt) -> Iterator[str]:
    yield f"# {manifest.name}"
    yield ""
    yield f"{manifest.description} License: {manifest.license}."
    networks = (manifest.detector.network, manifest.extractor.network)
    for network, measured in zip(networks, receipt.networks, strict=True):
        yield from _section(network, measured)
    yield ""
    yield "## Settings"
    yield ""
    detector, policy = manifest.detector, manifest.policy
    yield f"Boxes count from a score of {detector.score_threshold}, at most {detector.max_boxes} per image. A product"
    yield f"is named from a cosine of {policy.similarity_threshold}; an item drops others that it overlaps by more than"
    yield f"{policy.suppression_iou:.0%}. (PP-ShiTu: 0.2, 5, 0.5, 5%.)"
    if manifest.extractor.objectness is not None:
        yield "What gets no name has to look like a product"
        yield f"(`{manifest.extractor.objectness.path}`)."
    if detector.faint_threshold is not None:
        yield f"Where most boxes are small, those from {detector.faint_threshold} on are looked at as well."
    if detector.shapes:
        sizes = " or ".join(f"{height} × {width}" for height, width in detector.shapes)
        yield f"An image that {sizes} pixels distort much less is detected in that size."
    if policy.max_false_accept is not None:
        yield f"From {FEWEST_PRODUCTS} products, a threshold derived from the gallery names them, for"
        yield f"{policy.max_false_accept:.0%} false accepts."
    if manifest.extractor.cohort is not None:
        yield f"With fewer, it is derived from the foreign products in `{manifest.extractor.cohort.path}`. The cosine"
        yield "above is what 1 % of these reach to a dozen others."
    yield ""
    yield f"Measured on {receipt.images}; all figures are in [`{RECEIPT}`]({RECEIPT}). Open it with"
    yield f'`Recognizer.open("{manifest.name}")` or `shitu-edge recognize GALLERY IMAGES --models {manifest.name}`.'


def _section(network: Network, measured: NetworkReceipt) -> Iterator[str]:
    entry = network.input
    yield ""
    yield f"## {measured.role.capitalize()}: {network.name}"
    yield ""
    yield f"{measured.facts['kind']}, from `{network.source}` (weights {network.source_sha256[:16]})."
    yield f"{entry.height} × {entry.width} pixels, {entry.resize} resizing; {network.default_precision} by default."
    yield ""
    yield "| route | engine | form | MB | against the source |"
    yield "| --- | --- | --- | --- | --- |"
    for check in measured.checks:
        cells = (check.route, check.engine, f"{check.precision} {check.format}", f"{check.bytes / 1e6:.1f}")
        yield f"| {' | '.join(cells)} | {describe(check.parity)} |"
    for precision in measured.precisions:
        yield ""
        yield from precision.lines()
