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
settings.py     named values of a gallery
origins.py      how items were made, and their pictures
history.py      the log, differences, pruning
replay.py       revisions repeated in another file
past.py         all that a gallery knows
generation.py   a gallery with the embeddings of another extractor
check.py        verification
remains.py      a damaged file, prepared so that it can be read
intact.py       settings and origins of a damaged file that are intact
rescue.py       copying what is intact
"""

from .changes import Change as Change
from .records import Crop as Crop
from .records import Diff as Diff
from .records import GalleryItem as GalleryItem
from .records import IndexRecord as IndexRecord
from .records import Load as Load
from .records import Meta as Meta
from .records import NewGalleryItem as NewGalleryItem
from .records import Origin as Origin
from .records import Revision as Revision
from .records import SettingChange as SettingChange
from .replay import Replay as Replay
from .replay import Step as Step
from .snapshot import Snapshot as Snapshot
from .store import Store as Store
