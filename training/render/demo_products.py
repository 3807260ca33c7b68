"""The products of the demo's sample pictures: designs that print the names they are enrolled under."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .colors import BLACK, WHITE, Color
from .design import Design, Slot, design_of
from .product import Product

_TALL = (
    Slot("brand", 0.08, 0.08, 0.84, 0.2),
    Slot("variety", 0.14, 0.31, 0.72, 0.11),
    Slot("picture", 0.1, 0.46, 0.8, 0.36),
    Slot("lines", 0.12, 0.86, 0.76, 0.09),
)
_WIDE = (
    Slot("brand", 0.06, 0.1, 0.88, 0.32),
    Slot("variety", 0.12, 0.46, 0.76, 0.17),
    Slot("lines", 0.12, 0.7, 0.76, 0.2),
)
_PICTURE_ABOVE = (
    Slot("picture", 0.15, 0.06, 0.7, 0.38),
    Slot("brand", 0.06, 0.47, 0.88, 0.24),
    Slot("variety", 0.12, 0.74, 0.76, 0.13),
)


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
    """Return the demo's products: a dozen that are enrolled, then those that are not."""
    drawn = [*_cartons(), *_bottles(), *_cans(), *_others()]
    enrolled = [Sample(name, Product(number, design)) for number, (name, design) in enumerate(drawn)]
    strangers = [Sample(None, Product(len(drawn) + number, design)) for number, design in enumerate(_strangers())]
    return *enrolled, *strangers


def _package(
    seed: int,
    kind: str,
    brand: str,
    variety: str,
    picture: str,
    paper: Color,
    second: Color,
    accent: Color,
    slots: tuple[Slot, ...],
    ink: Color,
) -> Design:
    """Return a sober design: the shape of a seed, with words and colors of our own."""
    return replace(
        design_of(seed, kind),
        brand=brand,
        variety=variety,
        picture=picture,
        picture_color=accent,
        paper=paper,
        second=second,
        accent=accent,
        slots=slots,
        brand_ink=ink,
        brand_font="DejaVuSans-Bold.ttf",
        variety_font="DejaVuSans-Bold.ttf",
        small_font="DejaVuSans.ttf",
        script="latin",
        ground="plain",
        pattern="",
        plaque="",
        slant=0.0,
        arch=0.0,
        edge=False,
        upright=False,
        cap=accent,
        gloss=0.35,
        metal=0.0,
    )


def _cartons() -> list[tuple[str, Design]]:
    paper, ink = (233, 222, 196), (38, 72, 98)
    oat = _package(4001, "carton", "OAT\ndrink", "1 litre", "ear", paper, (38, 92, 122), (176, 122, 52), _TALL, ink)
    oat = replace(oat, ground="wave", brand_font="DejaVuSerif-Bold.ttf", width=0.36, depth=0.36, roof=True)
    white, ripe = (255, 250, 238), (238, 130, 16)
    orange = _package(
        4005, "carton", "Orange\njuice", "100 % fruit", "slice", white, (240, 146, 40), ripe, _TALL, (190, 80, 8)
    )
    orange = replace(orange, ground="arch", width=0.4, depth=0.34, roof=True, logo_seed=4001)
    apple = replace(
        orange,
        brand="Apple\njuice",
        picture="fruit",
        picture_color=(190, 40, 36),
        second=(150, 196, 72),
        accent=(86, 150, 36),
        brand_ink=(48, 110, 28),
        cap=(86, 150, 36),
    )
    return [("Oat drink 1 l", replace(oat, cap=(38, 92, 122))), ("Orange juice", orange), ("Apple juice", apple)]


def _bottles() -> list[tuple[str, Design]]:
    cream, red = (250, 244, 228), (188, 30, 24)
    tomato = _package(
        4076, "bottle", "Tomato", "juice", "tomato", cream, red, (204, 44, 30), _PICTURE_ABOVE, (150, 22, 20)
    )
    tomato = replace(
        tomato,
        body=(176, 26, 16),
        clear=False,
        cap=(236, 232, 224),
        label_top=0.42,
        label_bottom=0.86,
        label_width=1.0,
        brand_font="DejaVuSerif-BoldItalic.ttf",
        ground="frame",
        logo_seed=4001,
        gloss=0.5,
    )
    blue = (22, 88, 176)
    water = _package(4100, "bottle", "Sparkling", "water", "wave", WHITE, blue, (40, 130, 214), _WIDE, blue)
    water = replace(
        water,
        body=(226, 240, 246),
        clear=True,
        level=0.14,
        cap=blue,
        slots=(
            Slot("brand", 0.06, 0.05, 0.88, 0.3),
            Slot("variety", 0.14, 0.38, 0.72, 0.18),
            Slot("lines", 0.14, 0.7, 0.72, 0.2),
        ),
        label_top=0.4,
        label_bottom=0.66,
        label_width=1.0,
        ground="split",
        logo_seed=4001,
        gloss=0.6,
    )
    rose = (206, 60, 120)
    still = replace(water, brand="Still", second=rose, accent=(226, 92, 146), brand_ink=rose, cap=rose)
    return [("Tomato juice", tomato), ("Sparkling water", water), ("Still water", still)]


def _cans() -> list[tuple[str, Design]]:
    red = (196, 14, 24)
    cola = _package(4012, "can", "COLA", "classic", "bolt", red, WHITE, (240, 210, 90), _WIDE, WHITE)
    cola = replace(
        cola,
        slots=(Slot("brand", 0.04, 0.16, 0.92, 0.42), Slot("variety", 0.14, 0.64, 0.72, 0.14)),
        ground="wave",
        second=(120, 6, 16),
        brand_font="DejaVuSerif-BoldItalic.ttf",
        slant=0.2,
        metal=0.7,
        gloss=0.6,
        grain_seed=2,
        logo_seed=4001,
    )
    zero = replace(cola, variety="zero", paper=(26, 24, 28), second=(66, 64, 70), accent=red, brand_ink=(226, 30, 36))
    return [("Cola can", cola), ("Cola zero can", zero)]


def _others() -> list[tuple[str, Design]]:
    pink = (214, 36, 84)
    berry = _package(
        4020, "tub", "Strawberry", "yoghurt", "strawberry", (255, 246, 246), (246, 170, 190), pink, _PICTURE_ABOVE, pink
    )
    berry = replace(berry, ground="wave", cap=(240, 240, 240), logo_seed=4000, grain_seed=2, gloss=0.3)
    violet = (74, 60, 160)
    blue = replace(
        berry,
        brand="Blueberry",
        picture="berries",
        picture_color=violet,
        second=(172, 170, 226),
        accent=violet,
        brand_ink=violet,
    )
    amber = (224, 150, 20)
    honey = _package(
        4020, "jar", "Honey", "from meadows", "flower", (255, 246, 214), amber, (232, 160, 24), _WIDE, (120, 66, 10)
    )
    honey = replace(
        honey,
        body=amber,
        clear=True,
        cap=(222, 178, 60),
        brand_font="DejaVuSerif-Bold.ttf",
        label_width=1.0,
        ground="frame",
        logo_seed=4001,
        gloss=0.5,
    )
    dark = (44, 28, 22)
    coffee = _package(
        4020,
        "pouch",
        "Ground\ncoffee",
        "dark roast",
        "beans",
        dark,
        (196, 150, 84),
        (150, 92, 50),
        _TALL,
        (240, 220, 180),
    )
    coffee = replace(coffee, brand_font="DejaVuSerif-Bold.ttf", gloss=0.25, metal=0.3, picture_color=(134, 80, 44))
    return [("Strawberry yoghurt", berry), ("Blueberry yoghurt", blue), ("Honey", honey), ("Ground coffee", coffee)]


def _strangers() -> list[Design]:
    green, straw = (40, 120, 60), (236, 208, 140)
    tea = _package(
        4064, "bottle", "Green\ntea", "unsweetened", "leaves", (226, 240, 206), green, (70, 150, 60), _TALL, green
    )
    tea = replace(
        tea,
        body=(150, 150, 44),
        clear=True,
        level=0.1,
        cap=green,
        label_width=1.0,
        label_top=0.42,
        label_bottom=0.88,
        logo_seed=4001,
    )
    bread = _package(
        4009,
        "box",
        "Crispbread",
        "with rye",
        "ear",
        straw,
        (150, 84, 30),
        (170, 100, 36),
        _PICTURE_ABOVE,
        (110, 52, 16),
    )
    bread = replace(bread, width=0.72, depth=0.26, ground="split", brand_font="DejaVuSerif-Bold.ttf", cap=BLACK)
    tuna = _package(
        4024, "can", "TUNA", "in brine", "fish", (24, 74, 130), (240, 240, 236), (250, 204, 60), _PICTURE_ABOVE, WHITE
    )
    return [tea, bread, replace(tuna, metal=0.4, ground="frame", logo_seed=4001)]
