"""A gallery's SQLite file. The only user of sqlite3.

schema.py       tables, checksums
structure.py    check of a file's tables; connections with limits
connection.py   opening a file; transactions
image.py        a file and its log copied into memory
wal.py          pages in a write-ahead log
held.py         files open in this process
inherited.py    connections carried into a child by fork
failures.py     SQLite's errors as `GalleryError`
given.py        checks of arguments
drives.py       network drives
records.py      items, revisions and other records
store.py        Store: an open file
snapshot.py     reading one revision
changes.py      making a revision
history.py      the log, differences, pruning
replay.py       revisions repeated in another file
check.py        verification
rescue.py       reading a damaged file
"""

from .changes import Change
from .records import Diff, GalleryItem, IndexRecord, Load, Meta, NewGalleryItem, Revision
from .replay import Replay, Step
from .snapshot import Snapshot
from .store import Store

__all__ = [
    "Change",
    "Diff",
    "GalleryItem",
    "IndexRecord",
    "Load",
    "Meta",
    "NewGalleryItem",
    "Replay",
    "Revision",
    "Snapshot",
    "Step",
    "Store",
]
