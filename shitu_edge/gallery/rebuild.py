"""Update a gallery's index in a separate process: `python -m shitu_edge.gallery.rebuild GALLERY`.

The process ends with its standard input, and at once if another one is building this gallery's index.
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

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(REFUSED))  # the unfinished file is then deleted
    threading.Thread(target=_end_with_input, daemon=True).start()
    if sys.platform == "linux":  # other children of the parent may keep the input open after its end
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    with suppress(AttributeError, OSError):  # not on Windows
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
        while os.read(0, 1):  # not `sys.stdin`, whose lock would be held at interpreter exit
            pass
    signal.raise_signal(signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os._exit(REFUSED)


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
