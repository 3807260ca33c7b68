"""The truth about a gallery: one SQLite file. The only user of sqlite3.

schema.py       its tables, and what an entry's digest covers
structure.py    that a file has these tables and nothing else, and connections that trust no file
connection.py   the ways to open a file, and transactions
image.py        a file and its log as an image in memory, where they cannot be shared
wal.py          which pages a log holds
held.py         which files are open here, and must not be closed under SQLite's locks
failures.py     SQLite's errors as ours
given.py        what callers give, checked
drives.py       whether a file is on a network drive
records.py      what the store takes and gives
store.py        Store: open, and begin to read or to change
snapshot.py     the file read as of one moment
changes.py      a change: everything between one revision and the next
history.py      past revisions: the log, differences, and forgetting
replay.py       revisions copied from one file to another
check.py        whether a file is what it should be
rescue.py       what is left of a damaged file
"""

from .changes import Change
from .records import Diff, GalleryItem, GraphRecord, Load, Meta, NewGalleryItem, Revision
from .replay import Replay, Step
from .snapshot import Snapshot
from .store import Store

__all__ = [
    "Change",
    "Diff",
    "GalleryItem",
    "GraphRecord",
    "Load",
    "Meta",
    "NewGalleryItem",
    "Replay",
    "Revision",
    "Snapshot",
    "Step",
    "Store",
]
