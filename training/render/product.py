"""A drawn product: an identity that a seed decides, and views of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .boxed import Face, draw_boxed, faces_of
from .design import Design, design_of
from .skin import Skin, skin_of
from .sprite import Sprite, View
from .turned import draw_turned

_HEIGHTS = {
    "bottle": 1.0,
    "can": 0.52,
    "carton": 0.85,
    "box": 0.62,
    "pouch": 0.75,
    "jar": 0.5,
    "tub": 0.4,
    "fruit": 0.3,
}
TURNED = ("bottle", "can", "jar", "tub", "pouch", "fruit")


@dataclass(frozen=True, slots=True)
class Product:
    """A retail product and what decides its look.

    `Product.of` draws the look from the seed: seeds 4b to 4b + 3 are the varieties of brand b, of one outline and
    layout, with other colors, words and pictures. For a product with a name and colors of one's own, change a design
    (`dataclasses.replace(design_of(seed, kind), brand=..., variety=..., paper=...)`) and give it with any seed.
    """

    seed: int
    design: Design

    @classmethod
    def of(cls, seed: int) -> Product:
        """Return the product of a seed (0 or more); the same everywhere."""
        return _product(seed)

    @property
    def aspect(self) -> float:
        """Width over height of the package from the front, nearly."""
        return 2 * max(self.design.radii) if self.design.radii else self.design.width

    @property
    def height(self) -> float:
        """Height of the package relative to others; 1 is a usual bottle."""
        usual = _HEIGHTS[self.design.kind] * (0.85 + 0.3 * (self.design.logo_seed * 7 % 11) / 10)
        return usual / max(1.0, 0.8 * self.aspect)

    def draw(self, view: View, height: int, scale: float = 1.0) -> Sprite:
        """Return the product upright as a view shows it, about `height` px high.

        scale: how fine its label is drawn; 1 suits up to 400 px.
        """
        if self.design.kind in TURNED:
            return draw_turned(self.design, _skin(self.design, scale), view, height)
        return draw_boxed(self.design, _faces(self.design, scale), view, height)


@lru_cache(maxsize=512)
def _product(seed: int) -> Product:
    return Product(seed, design_of(seed))


@lru_cache(maxsize=160)
def _skin(design: Design, scale: float) -> Skin:
    return skin_of(design, scale)


@lru_cache(maxsize=160)
def _faces(design: Design, scale: float) -> tuple[Face, ...]:
    return faces_of(design, scale)
