"""Measurements of a conversion: `receipt.json` and a table of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shitu_edge.ranges import require_number

from .endtoend import Agreement
from .errors import ExportError
from .gate import Limits
from .parity import BoxParity, RowParity
from .quantize import Quantization

RECEIPT = "receipt.json"
SCHEMA_VERSION = 2
_MOST_TIES = 0.01


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Largest differences from the source, for each float32 variant.

    Attributes:
        max_px, max_score: of boxes found again at the working threshold; none may be missed or extra, and of no more
            than 1 % may rounding have kept a twin instead.
        min_cosine: of every embedding.
    """

    max_px: float = 0.01
    max_score: float = 1e-5
    min_cosine: float = 0.99999

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            OptionError: a value is outside its range.
        """
        require_number("max_px", self.max_px, 0)
        require_number("max_score", self.max_score, 0)
        require_number("min_cosine", self.min_cosine, -1, 1)

    def accepts(self, parity: BoxParity | RowParity) -> bool:
        """Say whether a float32 variant is close enough to its source."""
        if isinstance(parity, RowParity):
            return parity.min_cosine >= self.min_cosine
        exact = parity.max_px <= self.max_px and parity.max_score <= self.max_score
        return exact and not parity.missed and not parity.extra and parity.ties <= max(1, _MOST_TIES * parity.boxes)


@dataclass(frozen=True, slots=True)
class Check:
    """One stored variant on one engine against the source itself."""

    route: str
    engine: str
    format: str
    precision: str
    bytes: int
    parity: BoxParity | RowParity
    passed: bool


@dataclass(frozen=True, slots=True)
class NetworkReceipt:
    """A network: what it was, what the routes made of it, how each variant compares, what quantizing cost."""

    role: str
    facts: Mapping[str, Any]
    routes: tuple[Mapping[str, Any], ...]
    checks: tuple[Check, ...]
    precisions: tuple[Quantization, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """`receipt.json`."""

    made_with: Mapping[str, str]
    images: str
    tolerances: Tolerances
    networks: tuple[NetworkReceipt, ...]
    agreement: tuple[Agreement, ...] = ()
    downloads: tuple[Mapping[str, Any], ...] = ()
    limits: Limits = field(default_factory=Limits)
    schema_version: int = field(default=SCHEMA_VERSION)

    @property
    def failures(self) -> tuple[str, ...]:
        """The checks that miss the tolerances, a line each."""
        return tuple(
            f"{network.role} by {check.route} on {check.engine}: {describe(check.parity)}"
            for network in self.networks
            for check in network.checks
            if not check.passed
        )

    def require(self) -> None:
        """Fail if anything misses the tolerances.

        Raises:
            ToleranceError: something does.
        """
        if self.failures:
            raise ToleranceError(self)

    def to_json(self) -> str:
        """Return the content of `receipt.json`."""
        return json.dumps(_plain(asdict(self)), indent=2, ensure_ascii=False)

    def write(self, folder: Path) -> None:
        """Write `receipt.json` into a folder."""
        (folder / RECEIPT).write_text(self.to_json() + "\n", encoding="utf-8", newline="\n")


class ToleranceError(ExportError):
    """A conversion works, but differs from its source by more than the tolerances; carries the receipt."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(
            f"the receipt misses its tolerances, nothing is written: {'; '.join(receipt.failures)}. Try more "
            "--images to see whether it is rounding alone, then a wider --tolerance-px, --tolerance-score or "
            "--tolerance-cosine; boxes shifted by half a stride mean an export with another cell_offset"
        )
        self.receipt = receipt


def describe(parity: BoxParity | RowParity) -> str:
    """Return a parity as a phrase."""
    if isinstance(parity, RowParity):
        return f"cosine min {parity.min_cosine:.7f}, mean {parity.mean_cosine:.7f} over {parity.rows}"
    return (
        f"boxes off by {parity.max_px:.4f} px at most, {parity.mean_px:.5f} in the mean, "
        f"scores by {parity.max_score:.1e}; {_ties(parity)}{parity.missed} missed, "
        f"{parity.extra} extra of {parity.boxes}"
    )


def _ties(parity: BoxParity) -> str:
    return f"{parity.ties} decided by rounding, " if parity.ties else ""


def print_receipt(receipt: Receipt) -> None:
    """Print a receipt for people."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for network in receipt.networks:
        console.print(Text(f"{network.role}: {network.facts['kind']}", style="bold"))
        for fact in _facts(network):
            console.print(Text(f"  {fact}"), soft_wrap=True)
        table = _table("route", "engine", "variant", "MB", "against the source", "")
        for check in network.checks:
            verdict = "ok" if check.passed else "MISSED"
            variant = f"{check.precision} {check.format}"
            size = f"{check.bytes / 1e6:.1f}"
            table.add_row(*map(Text, (check.route, check.engine, variant, size, describe(check.parity), verdict)))
        console.print(table)
        for precision in network.precisions:
            for line in precision.lines():
                console.print(Text(f"  {line}"), soft_wrap=True)
        console.print()
    for agreement in receipt.agreement:
        console.print(
            f"end to end on {agreement.engine}, {agreement.precision}: {agreement.agreed} of {agreement.boxes} boxes "
            "lead to the same image as the source's",
            soft_wrap=True,
        )
    console.print(f"measured on {receipt.images}", soft_wrap=True)


def _facts(network: NetworkReceipt) -> Iterator[str]:
    facts = network.facts
    yield "source " + ", ".join(f"{file['file']} {file['sha256'][:12]}" for file in facts["source"])
    yield f"{_signature(facts['inputs'])} → {_signature(facts['outputs'])}"
    for name, shape in facts["inputs"].items():
        own = facts["source_inputs"][name]
        if own[2:] != shape[2:] and min(own[2:]) > 0:
            yield f"input size changed from {own[2]} × {own[3]} to {shape[2]} × {shape[3]}"
    for route in network.routes:
        if route.get("error"):
            yield f"route {route['name']}: {route['error']}"


def _signature(tensors: Mapping[str, list[int]]) -> str:
    return ", ".join(
        f"{name} {'×'.join('N' if size < 0 else str(size) for size in shape)}" for name, shape in tensors.items()
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold", header_style="dim")
    return table


def _plain(value: Any) -> Any:
    """Round floats, so that receipts can be read and compared."""
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
