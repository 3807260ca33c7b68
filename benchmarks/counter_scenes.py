"""Counters of mounted cameras, drawn: empty with what belongs there, and frames of them with products and other light.

What belongs there: posters (photos of the shared folder), written signs, a card reader, a lamp, goods on display.
Frames differ from the empty counter by what lies there, by light, white balance, noise, blur, JPEG and a small shake.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import Boxes, Pixels
from shitu_edge.stages.decode import decode
from training.render import surfaces
from training.render.camera import photographed
from training.render.occluders import hand
from training.render.placing import cast_shadow, pose
from training.render.poster import write_poster
from training.render.product import Product
from training.render.sprite import Light, Sprite, View, lay, mask_box, shared

WIDTH, HEIGHT = 1280, 720
_ON_DISPLAY = range(9_100_000, 9_100_200)
_PLAIN = 0.25
"""Share of the products that are a plain body in nearly the color of what lies below."""


@dataclass(frozen=True, slots=True)
class Counter:
    """An empty counter: pixels (H, W, 3) uint8 RGB, and boxes (N, 4) of what the detector may find there."""

    pixels_rgb: Pixels
    fixtures_xyxy: Boxes


@dataclass(frozen=True, slots=True)
class Frame:
    """A camera's frame of a counter.

    Attributes:
        pixels_rgb: (H, W, 3) uint8 RGB.
        products_xyxy: boxes (N, 4) of what is seen of each product.
        owner: (H, W) int16, the product that a pixel shows, -1 for none, -2 for a hand.
        matrix: (2, 3), moves points of the empty counter to where the frame shows them.
    """

    pixels_rgb: Pixels
    products_xyxy: Boxes
    owner: NDArray[np.int16]
    matrix: NDArray[np.float64]


def posters(data: Path) -> list[Path]:
    """Return photos that may hang as posters."""
    return sorted((data / "grocery" / "images" / "train").rglob("*.jpg")) + sorted((data / "caltech101").rglob("*.jpg"))


def draw_counter(rng: np.random.Generator, textures: list[Pixels], photos: list[Path]) -> Counter:
    """Draw an empty counter with one to five fixtures: a table before a wall, or seen from above."""
    if rng.random() < 0.5:
        canvas = surfaces.counter(rng, HEIGHT, WIDTH, textures, float(rng.uniform(0.2, 0.5)))
    else:
        canvas = surfaces.surface(rng, HEIGHT, WIDTH, textures)
    canvas = np.ascontiguousarray(canvas)
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(int(rng.integers(1, 6))):
        width = int(rng.uniform(0.08, 0.35) * HEIGHT)
        height = int(width * rng.uniform(0.7, 1.5))
        x, y = int(rng.integers(0, WIDTH - width)), int(rng.integers(0, max(1, HEIGHT - height)))
        box = (x, y, x + width, min(HEIGHT, y + height))
        if all(box[0] >= b[2] or b[0] >= box[2] or box[1] >= b[3] or b[1] >= box[3] for b in boxes):
            _FIXTURES[int(rng.integers(len(_FIXTURES)))](rng, canvas, box, photos)
            boxes.append(box)
    return Counter(canvas, np.array(boxes, np.float32).reshape(-1, 4))


def draw_frame(
    rng: np.random.Generator,
    counter: Counter,
    count: int,
    strength: float = 1.0,
    shake: float = 1.0,
    *,
    in_front: float = 0.5,
    hands: bool = True,
) -> Frame:
    """Draw a frame with `count` products.

    Args:
        rng: decides all.
        counter: the empty one.
        count: products, drawn ones and plain bodies.
        strength: of light, white balance, blur, noise and JPEG; 0 changes nothing.
        shake: in units of 0.15 % of the width, 0.1° and 0.1 % of size (standard deviations).
        in_front: share of the products that are put in front of a fixture.
        hands: a hand may hold one.
    """
    canvas = counter.pixels_rgb.copy()
    owner = np.full((HEIGHT, WIDTH), -1, np.int16)
    light = Light.draw(rng)
    for number in range(count):
        size = int(rng.uniform(0.12, 0.42) * HEIGHT)
        plain = rng.random() < _PLAIN
        sprite = None if plain else _product(rng, size, light)
        height, width = (size, int(size * rng.uniform(0.5, 1.2))) if sprite is None else sprite.mask.shape
        x, y = int(rng.integers(-width // 5, WIDTH - width * 4 // 5)), int(rng.integers(0, HEIGHT - height * 4 // 5))
        if len(counter.fixtures_xyxy) and rng.random() < in_front:
            fixture = counter.fixtures_xyxy[int(rng.integers(len(counter.fixtures_xyxy)))]
            middle = rng.uniform(fixture[:2], fixture[2:])
            x, y = int(middle[0] - width / 2), int(middle[1] - height / 2)
        sprite = _plain(rng, canvas, x, y, height, width) if sprite is None else sprite
        cast_shadow(canvas, sprite.mask, x, y, light, float(rng.uniform(0.1, 0.5)))
        lay(canvas, sprite, x, y)
        if windows := shared(owner.shape, sprite.mask.shape, x, y):
            owner[windows[0]][sprite.mask[windows[1]] > 127] = number
        if hands and rng.random() < 0.15:
            inside = (max(0, x), max(0, y), min(WIDTH, x + width), min(HEIGHT, y + height))
            for part in hand(rng, HEIGHT, WIDTH, inside):
                lay(canvas, part, 0, 0)
                owner[part.mask > 127] = -2
    matrix = _shaken(rng, shake)
    canvas = cv2.warpAffine(canvas, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    owner = cv2.warpAffine(owner, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_NEAREST, borderValue=-1)
    boxes = [box for number in range(count) if (box := mask_box((owner == number).astype(np.uint8) * 255))]
    return Frame(photographed(rng, canvas, strength), np.array(boxes, np.float32).reshape(-1, 4), owner, matrix)


def _shaken(rng: np.random.Generator, shake: float) -> NDArray[np.float64]:
    angle, zoom = float(rng.normal(0, 0.1 * shake)), float(1 + rng.normal(0, 0.001 * shake))
    matrix: NDArray[np.float64] = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), angle, zoom)
    matrix[:, 2] += rng.normal(0, 0.0015 * WIDTH * shake, 2)
    return matrix


def _product(rng: np.random.Generator, size: int, light: Light) -> Sprite:
    view = View(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0, 0.7)), light)
    roll = float(rng.normal(0, 0.05)) if rng.random() < 0.6 else float(rng.uniform(-np.pi, np.pi))
    return pose(Product.of(int(rng.integers(1, 100_000))), view, size, rng, roll)


def _plain(rng: np.random.Generator, canvas: Pixels, x: int, y: int, height: int, width: int) -> Sprite:
    """Return a plain, slightly shaded body whose color differs from what lies below by 6 to 40 levels."""
    below = canvas[max(0, y) : max(1, y + height), max(0, x) : max(1, x + width)].reshape(-1, 3).mean(axis=0)
    color = below + rng.choice([-1, 1]) * rng.uniform(6, 40) + rng.normal(0, 4, 3)
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, (width // 2, height // 2), (width // 2 - 1, height // 2 - 1), 0, 0, 360, 255, -1, cv2.LINE_AA)
    else:
        cv2.rectangle(mask, (2, 2), (width - 3, height - 3), 255, -1)
    shade = 1 + rng.uniform(-0.12, 0.12) * np.linspace(-1, 1, width)[None, :, None]
    opacity = mask[..., None] / np.float32(255)
    paint = (np.clip(color * shade, 0, 255) * opacity).astype(np.uint8)
    return Sprite(np.broadcast_to(paint, (height, width, 3)).copy(), 255 - np.repeat(mask[..., None], 3, 2), mask)


def _poster(rng: np.random.Generator, canvas: Pixels, box: tuple[int, int, int, int], photos: list[Path]) -> None:
    x1, y1, x2, y2 = box
    photo = decode(photos[int(rng.integers(len(photos)))]).pixels_rgb
    canvas[y1:y2, x1:x2] = cv2.resize(photo, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), rng.integers(0, 256, 3).tolist(), int(rng.integers(2, 8)))


def _sign(rng: np.random.Generator, canvas: Pixels, box: tuple[int, int, int, int], photos: list[Path]) -> None:
    x1, y1, x2, y2 = box
    if rng.random() < 0.7:
        canvas[y1:y2, x1:x2] = rng.integers(0, 256, 3)
    write_poster(rng, canvas[y1:y2, x1:x2])


def _card_reader(rng: np.random.Generator, canvas: Pixels, box: tuple[int, int, int, int], photos: list[Path]) -> None:
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    body = int(rng.integers(20, 90))
    cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), (body, body, body), -1)
    screen = rng.integers(90, 230, 3).tolist()
    inner = (x1 + width // 8, y1 + height // 10), (x2 - width // 8, y1 + height * 2 // 5)
    cv2.rectangle(canvas, *inner, screen, -1)
    for row in range(4):
        for column in range(3):
            x, y = x1 + width * (2 + 5 * column) // 16, y1 + height * (11 + 3 * row) // 24
            cv2.rectangle(canvas, (x, y), (x + width // 5, y + height // 14), (200, 200, 200), -1)


def _lamp(rng: np.random.Generator, canvas: Pixels, box: tuple[int, int, int, int], photos: list[Path]) -> None:
    x1, y1, x2, y2 = box
    middle, radius = ((x1 + x2) // 2, (y1 + y2) // 2), min(x2 - x1, y2 - y1) // 2
    cv2.circle(canvas, middle, radius, (120, 110, 100), -1, cv2.LINE_AA)
    cv2.circle(canvas, middle, radius * 3 // 4, (255, 252, 235), -1, cv2.LINE_AA)


def _display(rng: np.random.Generator, canvas: Pixels, box: tuple[int, int, int, int], photos: list[Path]) -> None:
    x1, y1, x2, y2 = box
    light = Light.draw(rng)
    seed = int(rng.choice(_ON_DISPLAY))
    sprite = pose(Product.of(seed), View(float(rng.uniform(-0.5, 0.5)), 0.2, light), min(x2 - x1, y2 - y1), rng, 0.0)
    cast_shadow(canvas, sprite.mask, x1, y1, light, 0.3)
    lay(canvas, sprite, x1, y1)


_FIXTURES = (_poster, _sign, _card_reader, _lamp, _display)
