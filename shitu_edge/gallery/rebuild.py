"""Bring the graph of a gallery up to date in a process of its own: `python -m shitu_edge.gallery.rebuild GALLERY`."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import GalleryError
from .upkeep import REFUSED

_NICENESS = 10


def _main(path: Path) -> int:
    from .gallery import Gallery

    with suppress(AttributeError, OSError):  # no such thing on Windows
        os.nice(_NICENESS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(REFUSED))  # so that the unfinished file is deleted
    try:
        with Gallery.open(path, background=False) as gallery:
            gallery.reindex(anew=False)
    except GalleryError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
