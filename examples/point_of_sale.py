"""A till: names what lies on the counter, and learns a product when somebody types its name.

python examples/point_of_sale.py shop.gallery PHOTO...
"""

import sys
from pathlib import Path

from shitu_edge import Recognizer, ShituError


def main(gallery: Path, photos: list[str]) -> None:
    """Print the products in each photo, and ask for the name of whatever is unknown or ambiguous."""
    if not gallery.exists():  # the first day
        with Recognizer.open() as embedder:
            embedder.create_gallery(gallery).close()
    with Recognizer.open(gallery=gallery) as recognizer:
        for photo in photos:
            try:
                items = recognizer.recognize(photo, deadline_ms=200).items
            except ShituError as error:  # one bad image does not close the shop
                print(error, file=sys.stderr)
                continue
            for item in items:
                if item.decision == "accepted":
                    print(f"{photo}: {item.label}")
                    continue
                box = [round(side) for side in item.box_xyxy]
                print(f"{photo}: {item.decision} at {box}. Its name? (empty: skip)", flush=True)
                if name := sys.stdin.readline().strip():
                    recognizer.enroll(name, photo, item.box_xyxy)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
