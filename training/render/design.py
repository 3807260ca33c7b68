"""A product's look: choices of its brand and of its variety."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import outlines
from .colors import WHITE, Color, distance, from_hsv, ink_on, luminance, mix
from .pictures import PICTURES
from .words import SCRIPTS, TASTES, word
from .writing import FONTS

VARIETIES = 4
"""Products a brand has: seeds 4b to 4b + 3 are brand b."""

KINDS = ("bottle", "can", "carton", "box", "pouch", "jar", "tub", "fruit")
_SHARES = (0.33, 0.17, 0.18, 0.08, 0.08, 0.05, 0.06, 0.05)


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of the front panel and what stands there; x, y, width, height are shares of the panel."""

    role: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Design:
    """Everything that a product's look follows from.

    Lengths are shares of the height of the package, colors RGB. `radii` describe turned bodies (bottle, can, jar, tub,
    pouch, fruit), `width` and `depth` the square ones (carton, box).
    """

    kind: str
    radii: tuple[float, ...]
    shoulder: float
    width: float
    depth: float
    roof: bool
    """A carton with a gable; else it is a brick."""
    cap: Color
    cap_height: float
    body: Color
    """Color of the bottle or its content."""
    clear: bool
    """Light shines through the body."""
    level: float
    """Level of the liquid in a clear bottle, from the top."""
    gloss: float
    metal: float
    label_top: float
    label_bottom: float
    label_width: float
    """Share of the circumference that a label takes; 1 goes all round."""
    label_round: bool
    paper: Color
    second: Color
    accent: Color
    brand_ink: Color
    ground: str
    pattern: str
    slots: tuple[Slot, ...]
    brand: str
    variety: str
    brand_font: str
    variety_font: str
    small_font: str
    script: str
    picture: str
    picture_color: Color
    logo_seed: int
    plaque: str
    slant: float
    arch: float
    edge: bool
    """The brand's letters have an edge of another color."""
    upright: bool
    """The brand runs from bottom to top."""
    grain_seed: int


def design_of(seed: int, kind: str | None = None) -> Design:
    """Return the design of a product, of a given kind where one is named.

    Brand and variety are drawn from two generators of their own.
    """
    brand_seed, number = divmod(seed, VARIETIES)
    brand = np.random.default_rng((brand_seed, 1))
    order = brand.permutation(len(TASTES))  # so that no two varieties share word and picture
    drawn_kind = str(brand.choice(KINDS, p=_SHARES))
    closeness = float(brand.random())
    variety = np.random.default_rng((brand_seed, 2, number))
    return _complete(brand, variety, brand_seed, number, kind or drawn_kind, closeness, [int(k) for k in order])


def _complete(
    brand: np.random.Generator,
    variety: np.random.Generator,
    brand_seed: int,
    number: int,
    kind: str,
    closeness: float,
    order: list[int],
) -> Design:
    shape = _shape(brand, kind)
    hue = float(brand.random())
    base = _base_color(brand, hue)
    second = _base_color(brand, hue + float(brand.choice([0.0, 0.08, 0.33, 0.5, 0.6])))
    if distance(base, second) < 60:
        second = WHITE if luminance(base) < 150 else mix(base, (20, 20, 30), 0.6)
    script = str(brand.choice(["latin", "strokes", "other"], p=[0.55, 0.33, 0.12]))
    alphabet = SCRIPTS[str(brand.choice(list(SCRIPTS)))]
    real_words = bool(brand.random() < 0.7)
    pictures = list(PICTURES)
    brand.shuffle(pictures)
    accent_hue, spread = float(brand.random()), float(brand.uniform(0.15, 0.25))

    name, picture, taste_hue, taste_saturation = TASTES[order[number]]
    if script != "latin" or not real_words:
        name = word(variety, script, alphabet, int(variety.integers(1, 3)))
        taste_hue, taste_saturation = accent_hue + spread * number, float(variety.uniform(0.5, 0.95))
        picture = pictures[number]
    accent = from_hsv(taste_hue, taste_saturation, float(variety.uniform(0.6, 0.95)))
    cap = second if brand.random() < 0.5 else _base_color(brand, float(brand.random()))
    body = _content(brand, kind, base)
    if closeness < 0.45:  # the variety colors the whole label
        base = mix(accent, WHITE, float(brand.choice([0.0, 0.0, 0.3, 0.75])))
        if distance(base, second) < 60:
            second = ink_on(base, mix(second, (0, 0, 0), 0.5))
    if closeness < 0.6 and brand.random() < 0.7:
        cap = accent
    liquid_follows = bool(brand.random() < 0.5)
    if kind in ("bottle", "jar") and liquid_follows and closeness < 0.7:
        body = mix(accent, WHITE, 0.1)
    if kind == "fruit":
        ripe = float(brand.choice([0.0, 0.05, 0.1, 0.15, 0.22, 0.3])) + float(variety.normal(0, 0.04))
        body = from_hsv(ripe, float(variety.uniform(0.5, 0.95)), float(variety.uniform(0.35, 0.9)))
        cap = from_hsv(ripe + float(variety.normal(0, 0.08)), 0.75, float(variety.uniform(0.3, 0.9)))
    slots, upright = _slots(brand, kind, shape.front_aspect)
    return Design(
        kind=kind,
        radii=shape.radii,
        shoulder=shape.shoulder,
        width=shape.width,
        depth=shape.depth,
        roof=bool(brand.random() < 0.6),
        cap=cap,
        cap_height=float(brand.uniform(0.05, 0.09))
        if kind == "bottle"
        else {"jar": 0.155, "tub": 0.085}.get(kind, 0.0),
        body=body,
        clear=kind in ("bottle", "jar") and bool(brand.random() < (0.62 if kind == "bottle" else 0.4)),
        level=float(brand.uniform(0.08, 0.3)),
        gloss=float(brand.uniform(0.1, 0.6)) * (1.4 if kind in ("bottle", "can", "jar") else 0.7),
        metal=float(brand.uniform(0.3, 1.0)) if kind == "can" or brand.random() < 0.1 else 0.0,
        label_top=shape.label[0],
        label_bottom=shape.label[1],
        label_width=float(brand.choice([1.0, 0.42, 0.34], p=[0.62, 0.22, 0.16])) if kind in ("bottle", "jar") else 1.0,
        label_round=bool(brand.random() < 0.3),
        paper=base,
        second=second,
        accent=accent,
        brand_ink=ink_on(base, _base_color(brand, float(brand.random())))
        if brand.random() < 0.7
        else ink_on(base, second),
        ground=str(brand.choice(["plain", "fade", "split", "wave", "diagonal", "arch", "frame"])),
        pattern=str(
            brand.choice(
                ["", "dots", "stripes", "rays", "scatter", "checks", "bubbles", "waves"],
                p=[0.4, 0.06, 0.09, 0.1, 0.11, 0.06, 0.1, 0.08],
            )
        ),
        slots=slots,
        brand=word(brand, script, alphabet, int(brand.choice([1, 2], p=[0.85, 0.15]))),
        variety=name,
        brand_font=str(brand.choice(FONTS)),
        variety_font=str(brand.choice(FONTS)),
        small_font=str(brand.choice(FONTS[:5])),
        script=script,
        picture=picture,
        picture_color=accent if distance(accent, base) > 70 else mix(accent, ink_on(base, second), 0.5),
        logo_seed=brand_seed,
        plaque=str(brand.choice(["", "band", "ellipse", "rounded", "ribbon"], p=[0.55, 0.12, 0.12, 0.11, 0.1])),
        slant=float(brand.choice([0.0, 0.0, 0.0, 0.25, -0.15])),
        arch=float(brand.choice([0.0, 0.0, 0.0, 0.25, -0.2, 0.4])),
        edge=bool(brand.random() < 0.3),
        upright=upright,
        grain_seed=variety.integers(1 << 30).item(),
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    radii: tuple[float, ...]
    shoulder: float
    width: float
    depth: float
    label: tuple[float, float]
    front_aspect: float
    """Width over height of the label's front."""


def _shape(rng: np.random.Generator, kind: str) -> _Shape:
    if kind == "bottle":
        radii, shoulder = outlines.bottle(rng)
        if rng.random() < 0.15:  # a sleeve from the shoulder to the foot
            top, bottom = shoulder - 0.03, 0.97
        else:
            top = shoulder + float(rng.uniform(0.02, 0.15))
            bottom = min(0.93, top + float(rng.uniform(0.22, 0.5)))
        return _Shape(radii, shoulder, 0, 0, (top, bottom), 2 * max(radii) / (bottom - top))
    if kind in ("can", "jar", "tub", "pouch", "fruit"):
        radii = getattr(outlines, kind)(rng)
        label = {"can": (0.035, 0.965), "jar": (0.3, 0.9), "tub": (0.085, 1.0)}.get(kind, (0.0, 1.0))
        return _Shape(radii, 0.1, 0, 0, label, 2 * max(radii) / (label[1] - label[0]))
    if kind == "carton":
        width = float(rng.uniform(0.32, 0.5))
        return _Shape((), 0.0, width, width * float(rng.uniform(0.65, 1.0)), (0.0, 1.0), width * 1.2)
    width = float(rng.choice([rng.uniform(0.55, 0.8), rng.uniform(0.9, 1.9)]))
    return _Shape((), 0.0, width, width * float(rng.uniform(0.2, 0.6)), (0.0, 1.0), width)


def _base_color(rng: np.random.Generator, hue: float) -> Color:
    pick = float(rng.random())
    if pick < 0.22:
        return mix(WHITE, from_hsv(hue, 0.5, 0.9), float(rng.uniform(0, 0.25)))
    if pick < 0.32:
        return from_hsv(hue, float(rng.uniform(0, 0.5)), float(rng.uniform(0.08, 0.25)))
    if pick < 0.45:
        return from_hsv(hue, float(rng.uniform(0.2, 0.45)), float(rng.uniform(0.75, 0.95)))
    return from_hsv(hue, float(rng.uniform(0.6, 0.98)), float(rng.uniform(0.45, 0.92)))


def _content(rng: np.random.Generator, kind: str, base: Color) -> Color:
    if kind == "bottle":
        options = [
            (236, 244, 246),
            (236, 244, 246),
            (60, 22, 12),
            (70, 120, 40),
            (24, 70, 34),
            (120, 66, 20),
            (230, 130, 20),
            (244, 242, 234),
            (220, 190, 60),
            (170, 24, 30),
        ]
        return options[int(rng.integers(len(options)))] if rng.random() < 0.75 else base
    return from_hsv(float(rng.uniform(0, 0.2)), float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.3, 0.9)))


def _slots(rng: np.random.Generator, kind: str, aspect: float) -> tuple[tuple[Slot, ...], bool]:
    """Divide the front panel: roles in one of several orders, from top to bottom, or the brand along the height."""
    m = 0.06
    if aspect < 0.75 and rng.random() < 0.22:
        side = float(rng.uniform(0.3, 0.55))
        left = bool(rng.random() < 0.5)
        x, rest = (m, side + 0.08) if left else (0.94 - side, m)
        width = 0.9 - side - m
        slots = [Slot("brand", x, 0.08, side, float(rng.uniform(0.6, 0.84)))]
        slots += [
            Slot("picture", rest, 0.12, width, 0.3),
            Slot("variety", rest, 0.5, width, 0.16),
            Slot("lines", rest, 0.72, width, 0.2),
        ]
        return tuple(slots), True
    orders = [
        ("brand", "variety", "picture", "lines"),
        ("logo", "brand", "picture", "variety"),
        ("picture", "brand", "variety", "lines"),
        ("brand", "picture", "variety"),
        ("brand", "variety", "lines"),
        ("small", "brand", "picture", "variety", "lines"),
        ("logo", "brand", "variety", "lines"),
        ("variety", "picture", "brand"),
    ]
    roles = orders[int(rng.integers(len(orders)))]
    weights = {"brand": 1.0, "variety": 0.7, "picture": 1.5, "logo": 0.8, "lines": 0.5, "small": 0.2}
    sizes = np.array([weights[role] * float(rng.uniform(0.7, 1.5)) for role in roles])
    if aspect < 0.6 and rng.random() < 0.3:
        sizes *= 0.75  # free paper below or above
    heights = sizes / max(sizes.sum(), 2.0 if aspect < 1 else 2.6) * (1 - 2 * m)
    y = m + float(rng.uniform(0, max(0.0, 1 - 2 * m - heights.sum())))
    placed: list[Slot] = []
    for role, height in zip(roles, heights, strict=True):
        placed.append(Slot(role, m, y, 1 - 2 * m, float(height) * 0.86))
        y += float(height)
    if rng.random() < 0.35:
        size = float(rng.uniform(0.16, 0.26))
        placed.append(Slot("badge", float(rng.choice([0.04, 0.96 - size])), float(rng.uniform(0.05, 0.75)), size, size))
    return tuple(placed), False
