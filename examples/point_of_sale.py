"""A till that looks at its counter: a recogniser opened once, a photo a call, and new products learnt by a button.

    python examples/point_of_sale.py BUNDLE shop.gallery PHOTO...

Copy it: `Till` is all that point-of-sale software needs to hold.
"""

from __future__ import annotations

import sys
from pathlib import Path

from shitu_edge import Recognizer, ShituError
from shitu_edge.results import Item

DEADLINE_MS = 200


class Till:
    """Names what lies on the counter and learns what it does not know. Safe from several threads."""

    def __init__(self, bundle: str, gallery: Path) -> None:
        """Open the gallery, or make it on the first day."""
        if not gallery.exists():
            with Recognizer.open(bundle) as embedder:
                embedder.create_gallery(gallery).close()
        self._recognizer = Recognizer.open(bundle, gallery)

    def look(self, photo: str | bytes) -> tuple[list[Item], list[Item]]:
        """Return what is sold and what somebody has to name."""
        items = self._recognizer.recognize(photo, deadline_ms=DEADLINE_MS).items
        return [i for i in items if i.decision == "accepted"], [i for i in items if i.decision != "accepted"]

    def learn(self, name: str, photo: str | bytes, item: Item) -> None:
        """Remember an item of a photo under a name."""
        self._recognizer.enroll(name, photo, item.box_xyxy)

    def close(self) -> None:
        """Close the recogniser and its gallery."""
        self._recognizer.close()


def main() -> None:
    """Look at photos one after the other and ask for the names of unknown things."""
    if len(sys.argv) < 4:
        sys.exit("usage: point_of_sale.py BUNDLE GALLERY PHOTO...")
    till = Till(sys.argv[1], Path(sys.argv[2]))
    for photo in sys.argv[3:]:
        try:
            sold, unknown = till.look(photo)
        except ShituError as error:  # one bad frame does not close the shop
            print(error, file=sys.stderr)
            continue
        for item in sold:
            print(f"{photo}: {item.label}")
        for item in unknown:
            name = input(f"{photo}: what is at {[round(side) for side in item.box_xyxy]}? (empty: nothing) ")
            if name:
                till.learn(name, photo, item)
    till.close()


if __name__ == "__main__":
    main()
