"""Drawn sequences of a counter with known truth: products are put down, moved, swapped, covered and taken away.

A mounted camera sees drawn products (`training.render`) on a drawn counter. Hands carry them. Exposure drifts, the
sensor has noise, the mount trembles, and some cameras compress.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Pixels
from training.render.camera import jpeg, photographed
from training.render.occluders import hand
from training.render.placing import ground_shadow
from training.render.product import Product
from training.render.sprite import Light, Sprite, View, lay
from training.render.surfaces import counter

WIDTH, HEIGHT, FPS = 1280, 720, 10
_PITCH = 0.45
_COLUMNS, _ROWS = 4, (0.56, 0.97)
"""Places: feet stand in so many columns and at these shares of the height."""
_NOISES = 6
_CARRY, _LEAVE, _REST = 6, 4, (12, 18)
"""Frames: a hand brings a product, goes away, and leaves it alone."""


@dataclass(eq=False, slots=True)
class Thing:
    """A product on the counter. `rests_from` and `free_from`: the frame from which it rests, and no hand covers it."""

    number: int
    product: Product
    sprite: Sprite
    x: int
    y: int
    rests_from: int = 0
    free_from: int = 0

    @property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """Its place in pixels."""
        height, width = self.sprite.mask.shape
        return self.x, self.y, self.x + width, self.y + height


@dataclass(frozen=True, slots=True)
class Frame:
    """An image (720, 1280, 3) uint8 RGB, its time in seconds, and the things that truly rest there.

    `calm`: no hand is in the image.
    """

    image_rgb: Pixels
    at_s: float
    things: tuple[Thing, ...]
    calm: bool


@dataclass(slots=True)
class Camera:
    """Noise, drift, tremor and compression of one camera."""

    rng: np.random.Generator
    sigma: float
    quality: int | None
    tremor: float
    gain: float = 1.0
    noises: list[NDArray[np.int8]] = field(default_factory=list)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Camera:
        """Draw a camera; four in ten compress."""
        quality = int(rng.integers(60, 95)) if rng.random() < 0.4 else None
        camera = cls(rng, float(rng.uniform(1, 5)), quality, float(rng.uniform(0, 0.4)))
        for _ in range(_NOISES):
            camera.noises.append(np.clip(rng.normal(0, camera.sigma, (HEIGHT, WIDTH, 3)), -127, 127).astype(np.int8))
        return camera

    def photograph(self, canvas: Pixels) -> Pixels:
        """Return the canvas as the camera sees it now."""
        self.gain += 0.1 * (1 - self.gain) + float(self.rng.normal(0, 0.004))
        dx, dy = self.rng.normal(0, self.tremor, 2)
        moved = cv2.warpAffine(
            canvas, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE
        )
        noise = self.noises[int(self.rng.integers(_NOISES))]
        noise = np.roll(noise, int(self.rng.integers(HEIGHT)), axis=0)
        image = cv2.add(cv2.convertScaleAbs(moved, alpha=self.gain), noise, dtype=cv2.CV_8U)
        return image if self.quality is None else jpeg(image, self.quality)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A sprite without its empty margin, and where its upper left corner belongs."""

    sprite: Sprite
    x: int
    y: int

    @classmethod
    def of(cls, sprite: Sprite) -> _Placed:
        rows, columns = sprite.mask.any(axis=1).nonzero()[0], sprite.mask.any(axis=0).nonzero()[0]
        x, y = int(columns[0]), int(rows[0])
        return cls(sprite.cut(x, y, int(columns[-1]) + 1, int(rows[-1]) + 1), x, y)


class Counter:
    """A counter that is filled and emptied; `frames` shows it."""

    def __init__(self, rng: np.random.Generator, products: Sequence[Product]) -> None:
        """`products`: that may be put there."""
        self._rng = rng
        self._products = list(products)
        self._light = Light.draw(rng)
        self._camera = Camera.draw(rng)
        self._backdrop = counter(rng, HEIGHT, WIDTH, None, float(rng.uniform(0.1, 0.3)))
        self._things: dict[int, Thing] = {}
        self._still: Pixels | None = None
        self._number = 0
        self._frame = 0
        self.placements = 0

    def frames(self, placements: int) -> Iterator[Frame]:
        """Yield frames until so many products were put down, and everything is taken away again."""
        yield from self._rest(6)
        while self.placements < placements:
            yield from self._act()
            yield from self._rest(int(self._rng.integers(*_REST)))
        for place in list(self._things):
            yield from self._take(place)
        yield from self._rest(_REST[1])

    def jitter(self, pixels: float) -> NDArray[np.float64]:
        """Return a detector's usual error of a box's four sides, in pixels."""
        return self._rng.normal(0, pixels / 2, 4)

    def resting(self, things: Sequence[Product], frames: int) -> Iterator[Frame]:
        """Yield frames of things, at most eight, that rest at places of their own, then take them away."""
        for product, place in zip(things, self._rng.permutation(2 * _COLUMNS).tolist(), strict=False):
            thing = self._thing(product, place)
            self._stand(thing, place)
            self._things[place] = thing
        self._still = None
        yield from self._rest(frames)
        self._things.clear()
        self._still = None

    def _act(self) -> Iterator[Frame]:
        free = [place for place in range(2 * _COLUMNS) if place not in self._things]
        taken = list(self._things)
        what = self._rng.choice(
            ["put", "twin", "take", "move", "swap", "replace", "cover"], p=[0.46, 0.1, 0.14, 0.08, 0.05, 0.07, 0.1]
        )
        if len(taken) < 2 or (what in ("put", "twin", "move") and not free):
            what = "put" if len(taken) < 2 else "take"
        if what in ("put", "twin"):
            product = (
                self._things[int(self._rng.choice(taken))].product if what == "twin" else self._any(self._products)
            )
            place = int(self._rng.choice(free))
            yield from self._put(self._thing(product, place), place)
        elif what == "take":
            yield from self._take(int(self._rng.choice(taken)))
        elif what == "move":
            place = int(self._rng.choice(taken))
            yield from self._move(place, int(self._rng.choice(free)))
        elif what == "swap":
            one, other = self._rng.choice(taken, 2, replace=False).tolist()
            yield from self._swap(one, other)
        elif what == "replace":
            yield from self._replace(int(self._rng.choice(taken)))
        else:
            yield from self._cover(int(self._rng.choice(taken)))

    def _any(self, products: Sequence[Product]) -> Product:
        return products[int(self._rng.integers(len(products)))]

    def _thing(self, product: Product, place: int) -> Thing:
        row = place // _COLUMNS
        size = HEIGHT * float(self._rng.uniform(0.3, 0.36)) * (0.82, 1.0)[row]
        view = View(float(self._rng.normal(0, 0.35)), _PITCH, self._light)
        widest = WIDTH / _COLUMNS * 0.8
        height = min(size * (0.55 + 0.45 * product.height), widest / max(product.aspect, 0.2))
        self._number += 1
        return Thing(self._number, product, product.draw(view, max(60, round(height))), 0, 0)

    def _stand(self, thing: Thing, place: int) -> None:
        row, column = divmod(place, _COLUMNS)
        height, width = thing.sprite.mask.shape
        x = (column + 0.5 + float(self._rng.uniform(-0.05, 0.05))) * WIDTH / _COLUMNS - width / 2
        thing.x, thing.y = round(x), min(round(_ROWS[row] * HEIGHT), HEIGHT - 4) - height

    def _put(self, thing: Thing, place: int) -> Iterator[Frame]:
        self.placements += 1
        self._stand(thing, place)
        yield from self._carried(thing, place, arrives=True)

    def _take(self, place: int) -> Iterator[Frame]:
        thing = self._things[place]
        yield from self._reach(thing, place, comes=True)
        self._remove(place)
        yield from self._carried(thing, place, arrives=False)

    def _move(self, place: int, to: int) -> Iterator[Frame]:
        thing = self._things[place]
        yield from self._reach(thing, place, comes=True)
        self._remove(place)
        start = np.array([thing.x, thing.y], float)
        self._stand(thing, to)
        way = start - (thing.x, thing.y)
        palm, fingers = self._hand(thing)
        steps = int(self._rng.integers(3, 8))
        for step in range(steps):
            yield self._show(thing, way * (1 - step / steps), palm, fingers)
        yield from self._settle(thing, to, palm, fingers)

    def _swap(self, one: int, other: int) -> Iterator[Frame]:
        free = next((place for place in range(2 * _COLUMNS) if place not in self._things), None)
        if free is None:
            return
        yield from self._move(one, free)
        yield from self._move(other, one)
        yield from self._move(free, other)

    def _replace(self, place: int) -> Iterator[Frame]:
        """Put another product in a thing's place while a hand covers both."""
        old = self._things[place]
        yield from self._reach(old, place, comes=True)
        new = self._thing(self._any([one for one in self._products if one != old.product]), place)
        self._stand(new, place)
        self.placements += 1
        palm, fingers = self._hand(old)
        self._remove(place)
        yield self._show(old, np.zeros(2), palm, fingers)
        palm, fingers = self._hand(new)
        yield from self._settle(new, place, palm, fingers)

    def _cover(self, place: int) -> Iterator[Frame]:
        """Hold a hand over a thing for a while, then take it away."""
        thing = self._things[place]
        yield from self._reach(thing, place, comes=True)
        palm, fingers = self._hand(thing)
        for _ in range(int(self._rng.integers(1, 25))):
            yield self._show(None, np.zeros(2), palm, fingers)
        yield from self._reach(thing, place, comes=False)

    def _carried(self, thing: Thing, place: int, *, arrives: bool) -> Iterator[Frame]:
        palm, fingers = self._hand(thing)
        away = np.array([float(self._rng.normal(0, 200)), HEIGHT - thing.y + 30.0])
        steps = range(_CARRY, 0, -1) if arrives else range(1, _CARRY + 1)
        for step in steps:
            yield self._show(thing, away * step / _CARRY, palm, fingers)
        if arrives:
            yield from self._settle(thing, place, palm, fingers)

    def _settle(self, thing: Thing, place: int, palm: _Placed, fingers: _Placed) -> Iterator[Frame]:
        thing.rests_from = self._frame
        self._things[place] = thing
        self._still = None
        thing.free_from = self._frame + 1 + _LEAVE
        yield self._show(None, np.zeros(2), palm, fingers)
        yield from self._retreat(palm, fingers, range(1, _LEAVE + 1))

    def _reach(self, thing: Thing, place: int, *, comes: bool) -> Iterator[Frame]:
        palm, fingers = self._hand(thing)
        yield from self._retreat(palm, fingers, range(_LEAVE, 0, -1) if comes else range(1, _LEAVE + 1))

    def _retreat(self, palm: _Placed, fingers: _Placed, steps: Sequence[int]) -> Iterator[Frame]:
        for step in steps:
            yield self._show(None, np.array([0.0, HEIGHT * step / _LEAVE]), palm, fingers)

    def _hand(self, thing: Thing) -> tuple[_Placed, _Placed]:
        palm, fingers = hand(self._rng, HEIGHT, WIDTH, thing.box_xyxy)
        return _Placed.of(palm), _Placed.of(fingers)

    def _remove(self, place: int) -> None:
        del self._things[place]
        self._still = None

    def _rest(self, frames: int) -> Iterator[Frame]:
        for _ in range(frames):
            yield self._frame_of(self._scene().copy(), calm=True)

    def _show(self, carried: Thing | None, away: NDArray[np.float64], palm: _Placed, fingers: _Placed) -> Frame:
        canvas = self._scene().copy()
        dx, dy = (round(float(value)) for value in away)
        lay(canvas, palm.sprite, palm.x + dx, palm.y + dy)
        if carried is not None:
            lay(canvas, carried.sprite, carried.x + dx, carried.y + dy)
        lay(canvas, fingers.sprite, fingers.x + dx, fingers.y + dy)
        return self._frame_of(canvas, calm=False)

    def _scene(self) -> Pixels:
        if self._still is None:
            self._still = self._backdrop.copy()
            for thing in sorted(self._things.values(), key=lambda one: one.box_xyxy[3]):
                ground_shadow(self._still, thing.sprite.mask, thing.x, thing.y, self._light, _PITCH, 0.4)
                lay(self._still, thing.sprite, thing.x, thing.y)
        return self._still

    def _frame_of(self, canvas: Pixels, *, calm: bool) -> Frame:
        frame = Frame(self._camera.photograph(canvas), self._frame / FPS, tuple(self._things.values()), calm)
        self._frame += 1
        return frame


def photo(rng: np.random.Generator, product: Product) -> tuple[Pixels, tuple[int, int, int, int]]:
    """Draw a photo of a product for a gallery; return it and the product's box."""
    light = Light.draw(rng)
    canvas = counter(rng, HEIGHT, WIDTH, None, float(rng.uniform(0.1, 0.3)))
    view = View(float(rng.normal(0, 0.4)), float(rng.uniform(0.1, 0.6)), light)
    sprite = product.draw(view, round(320 / max(1.0, 0.8 * product.aspect)))
    height, width = sprite.mask.shape
    x, y = (WIDTH - width) // 2, (HEIGHT - height) // 2
    ground_shadow(canvas, sprite.mask, x, y, light, _PITCH, 0.4)
    lay(canvas, sprite, x, y)
    return photographed(rng, canvas, 0.4), (x, y, x + width, y + height)
