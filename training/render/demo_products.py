"""The products of the demo's sample images, as `demo_products.json` describes them: the fields of their designs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .design import Design, Slot, design_of
from .product import Product


@dataclass(frozen=True, slots=True)
class Sample:
    """A product of the demo and the name that it is enrolled under; None where it is meant to be unknown."""

    name: str | None
    product: Product

    @property
    def printed(self) -> str:
        """Brand and variety, as its label says them."""
        return f"{self.product.design.brand} {self.product.design.variety}".replace("\n", " ")


def samples() -> tuple[Sample, ...]:
    """Return the demo's products: a dozen that are enrolled, then those that are not.

    A product is `like` another, or has the shape of a seed and a kind; what else is said of it overrides that. Where
    nothing is said, its cap and its picture have the accent's color.
    """
    described = json.loads(Path(__file__).with_suffix(".json").read_bytes())
    layouts = {name: tuple(Slot(*slot) for slot in slots) for name, slots in described["layouts"].items()}
    designs: dict[str, Design] = {}
    found = []
    for number, facts in enumerate(described["products"]):
        own: dict[str, Any] = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in facts.items()}
        name, enrolled = own.pop("name"), own.pop("enrolled", True)
        if "slots" in own:
            own["slots"] = layouts[own["slots"]]
        if like := own.pop("like", None):
            designs[name] = replace(designs[like], **own)
        else:
            usual = design_of(own.pop("seed"), own["kind"])
            colors = dict.fromkeys(("cap", "picture_color"), own["accent"])
            designs[name] = replace(usual, **{**described["common"], **colors, **own})
        found.append(Sample(name if enrolled else None, Product(number, designs[name])))
    return tuple(found)
