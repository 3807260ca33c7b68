"""Bring the graph of a gallery up to date in a process of its own: `python -m shitu_edge.gallery.rebuild GALLERY`.

It ends when its standard input does, and at once if another such process is at work on the gallery.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ..errors import GalleryError
from .live.sole import sole_builder
from .live.upkeep import PATIENCE_S, REFUSED

_NICENESS = 10
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def _main(path: Path) -> int:
    from .gallery import Gallery

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(REFUSED))  # so that the unfinished file is deleted
    threading.Thread(target=_end_with_input, daemon=True).start()
    if sys.platform == "linux":  # where others that the parent has forked may hold the input open after its end
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    with suppress(AttributeError, OSError):  # no such thing on Windows
        os.nice(_NICENESS)
    try:
        with sole_builder(path) as alone:
            if alone:
                with Gallery.open(path, background=False) as gallery:
                    gallery.index.rebuild(extend=True)
    except GalleryError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return REFUSED
    return 0


def _end_with_input() -> None:
    with suppress(OSError):
        while os.read(0, 1):  # not by `sys.stdin`, whose lock would be held at the end of the interpreter
            pass
    signal.raise_signal(signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os._exit(REFUSED)


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
