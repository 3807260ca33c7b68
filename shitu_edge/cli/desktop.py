"""Open a file in the desktop's viewer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_PATIENCE_S = 5


def show(file: Path) -> str | None:
    """Open a file in its viewer; return the reason if that fails."""
    if sys.platform == "win32":
        try:
            os.startfile(file)
        except OSError as error:
            return str(error.strerror or error)
        return None
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    if opener == "xdg-open" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "no desktop is running"
    if shutil.which(opener) is None:
        return f"{opener} is not installed"
    viewer = subprocess.Popen(
        [opener, str(file)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        status = viewer.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:  # it is the viewer itself, which stays
        return None
    return f"{opener} ended with status {status}" if status else None
