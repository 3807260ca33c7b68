"""Recognise real photos of drinks with stand-in networks; `make demo` runs it.

    python examples/demo.py ../shared

Needs the networks in SHARED/models and the photos in SHARED/data/drinks. Builds a gallery of the 1 068 gallery photos
once, recognises the seven query photos and draws what it saw.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stand_in_bundles import make_bundles

OUT = Path("build/demo")


def main() -> None:
    """Run the demo, or say what it lacks."""
    shared = Path(sys.argv[1])
    models, drinks = shared / "models", shared / "data" / "drinks"
    if not (models.is_dir() and drinks.is_dir()):
        sys.exit(
            f"shitu-edge has no built-in networks yet, so its demo needs some networks and photos:\n"
            f"expected {models} and {drinks}; `make demo SHARED=DIR` looks elsewhere.\n"
            "With a bundle and a gallery of your own: shitu-edge recognize PHOTO --models BUNDLE --gallery FILE"
        )
    make_bundles(models, OUT / "models")
    bundle, gallery, drawn = OUT / "models" / "stand-in-openvino", OUT / "drinks.gallery", OUT / "seen"
    if not gallery.exists():
        _shitu_edge("gallery", "build", drinks / "gallery" / "drink_label_all.txt", gallery, "--models", bundle)
    _shitu_edge("recognize", drinks / "queries", "--models", bundle, "--gallery", gallery, "--draw", drawn)
    print(f"\nAnnotated pictures: {drawn.resolve()}")


def _shitu_edge(*arguments: object) -> None:
    command = [str(Path(sys.executable).with_name("shitu-edge")), *map(str, arguments)]
    print(f"$ {' '.join(['shitu-edge', *command[1:]])}", flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
