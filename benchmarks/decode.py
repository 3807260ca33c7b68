"""Decoding of large JPEGs at reduced scale: the time it saves, and the embeddings it changes.

    python -m benchmarks.decode ../shared/data/drinks [--models build/ppshitu/ppshitu-v2-seeded]

Photos of a large sensor are imitated by tiling the gallery's photos at full resolution into 4000 × 3000 JPEGs. Every
tile is then embedded from the exact and from the reduced image, and searched in a gallery of the photos themselves.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import describe_machine, interleave, print_times
from shitu_edge import Recognizer
from shitu_edge.stages.decode import decode

WIDTH, HEIGHT, TILE = 4000, 3000, 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drinks", type=Path)
    parser.add_argument("--models", default="build/ppshitu/ppshitu-v2-seeded")
    parser.add_argument("--mosaics", type=int, default=4)
    args = parser.parse_args()

    tiles = (WIDTH // TILE) * (HEIGHT // TILE)
    photos = sorted((args.drinks / "gallery").rglob("*.jpg"))[:: 1068 // (tiles * args.mosaics)][: tiles * args.mosaics]
    print(describe_machine())
    with Recognizer.open(args.models) as recognizer:
        enough = recognizer.enough_side
        gallery = np.concatenate([recognizer.embed(photo) for photo in photos])
        exact_rows, reduced_rows = [], []
        for start in range(0, len(photos), tiles):
            jpeg, boxes = _mosaic(photos[start : start + tiles])
            exact, reduced = decode(jpeg), decode(jpeg, enough_side=enough)
            scale = np.array([*reduced.scale, *reduced.scale], np.float32)
            exact_rows.append(recognizer.embed(exact.pixels_rgb, boxes))
            reduced_rows.append(recognizer.embed(reduced.pixels_rgb, boxes / scale))
        one, other = np.concatenate(exact_rows), np.concatenate(reduced_rows)
        print(
            f"{len(one)} tiles, decoded to {reduced.pixels_rgb.shape[1]} × {reduced.pixels_rgb.shape[0]} instead of "
            f"{WIDTH} × {HEIGHT}"
        )
        cosine = np.sum(one * other, axis=1)
        print(f"cosine exact to reduced: median {np.median(cosine):.4f}, 5 % {np.percentile(cosine, 5):.4f}")
        for name, rows in (("exact", one), ("reduced", other)):
            print(f"{name}: cosine to the photo in the gallery, median {np.median(np.sum(rows * gallery, axis=1)):.4f}")
        truth = np.arange(len(one))
        for name, rows in (("exact", one), ("reduced", other)):
            print(f"{name}: the photo itself is nearest for {np.mean((rows @ gallery.T).argmax(axis=1) == truth):.1%}")
        times = {"exact": lambda: decode(jpeg), "reduced": lambda: decode(jpeg, enough_side=enough)}
        print_times(interleave(times, rounds=15))


def _mosaic(photos: list[Path]) -> tuple[bytes, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return a JPEG of photos side by side, and the box of each."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT), "white")
    boxes = []
    for number, path in enumerate(photos):
        x, y = number * TILE % WIDTH, number * TILE // WIDTH * TILE
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((TILE, TILE))
        sheet.paste(photo, (x, y))
        boxes.append((x, y, x + photo.width, y + photo.height))
    stream = BytesIO()
    sheet.save(stream, "JPEG", quality=90)
    return stream.getvalue(), np.array(boxes, np.float32)


if __name__ == "__main__":
    main()
