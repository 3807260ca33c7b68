"""The result of a command that changed a gallery: one line for people, or one JSON object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...gallery import Gallery
from ..printing import count, print_line
from ..tables import print_json


def print_outcome(as_json: bool, path: Path, gallery: Gallery, what: str, **record: Any) -> None:
    """Print what was changed and what the gallery holds now; JSON has the keys of `record` too."""
    items, revision = len(gallery), gallery.revision
    if as_json:
        print_json({"gallery": path, "revision": revision, "items": items, **record})
    else:
        print_line(f"{path}: {what}; {count(items, 'item')} in revision {revision}")
