"""A damaged gallery file, prepared so that SQLite can read it, and its readable rows."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import GalleryError, os_errors_as
from . import origins, settings
from .connection import FROZEN, connect
from .held import file_id, holding
from .image import read_image
from .records import Meta
from .schema import MAGIC, MOST_ITEMS, ORIGINS_FORMAT, PAGE_BYTES, SETTINGS_FORMAT
from .store import Store
from .structure import LEAST_ROW_BYTES, allow_rows, bytes_held, has_tables

_COUNTERS = (24, 92)
"""Positions in SQLite's header: change counter, and the counter that its page count belongs to (file format, 1.3)."""
_PAGE_COUNT = 28
TABLES = ("entries", "embeddings", "revisions", "meta")
"""Tables of all formats that a rescue reads."""
TABLE_LEAF, INDEX_LEAF = 0x0D, 0x0A
"""First byte of a page with rows of a table, and of a table WITHOUT ROWID (file format, 1.6)."""


def is_item(number: object) -> bool:
    """Return whether a value can be an item's id."""
    return isinstance(number, int) and 0 < number < MOST_ITEMS


def read_rows(connection: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    """Return a query's distinct rows; see `each_row`."""
    return list(dict.fromkeys(each_row(connection, query)))


def each_row(connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield a query's rows up to the first unreadable one, at most as many bytes as the file has.

    Forged pages may repeat rows or share long values.
    """
    with suppress(sqlite3.Error, UnicodeDecodeError):  # SQLite's own message may be damaged text
        room = bytes_held(connection)
        allow_rows(connection, room)  # a row over the limit would hide its neighbors
        for row in connection.execute(query, values):
            room -= LEAST_ROW_BYTES + sum(len(value) for value in row if isinstance(value, (str, bytes)))
            if room < 0:
                return
            yield row


@contextmanager
def copied(path: Path) -> Iterator[Remains]:
    """Copy a file, with its log applied, to a temporary folder."""
    with ExitStack() as stack:
        with _scratch_errors(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="shitu-rescue-"))
            copy = Path(folder) / "remains"
            with holding(file_id(path)):
                copy.write_bytes(read_image(path))
        yield Remains(path, copy)


def _scratch_errors(path: Path) -> AbstractContextManager[None]:
    return os_errors_as(GalleryError, path, f"cannot be copied to {tempfile.gettempdir()} for repair")


class Remains:
    """A copy of a damaged file, prepared so that SQLite can read it.

    In every gallery the tables begin at the same pages: a new table moves other pages away.
    """

    def __init__(self, gallery: Path, path: Path) -> None:
        self._gallery = gallery
        self._path = path

    def opened(self, holds: Mapping[int, Callable[[sqlite3.Connection], bool]]) -> sqlite3.Connection:
        """Open it, with the first page of an empty gallery if its own is unusable.

        That is a gallery of the latest format whose own table has rows, which `holds` tells by format.
        """
        for version in (None, *sorted(holds, reverse=True)):
            with suppress(sqlite3.Error, UnicodeDecodeError):
                if version is not None:
                    with _scratch_errors(self._gallery):
                        self._give_first_page(version)
                connection = connect(self._path)
                if has_tables(connection, *TABLES) and (version is None or holds[version](connection)):
                    return connection
                connection.close()
        raise GalleryError(f"{self._gallery}: cannot be repaired: its tables cannot be found")

    def _give_first_page(self, version: int) -> None:
        model = self._path.with_name(f"model-{version}")
        Store.create(model, Meta("", "", 1)).close()
        with closing(sqlite3.connect(model, isolation_level=None)) as connection:
            if version >= SETTINGS_FORMAT:
                settings.make_table(connection)
            if version >= ORIGINS_FORMAT:
                origins.make_table(connection)
        page = bytearray(model.read_bytes()[:PAGE_BYTES])
        pages = (self._path.stat().st_size // PAGE_BYTES).to_bytes(4, "big")
        page[_PAGE_COUNT : _PAGE_COUNT + 4] = pages
        page[_COUNTERS[1] : _COUNTERS[1] + 4] = page[_COUNTERS[0] : _COUNTERS[0] + 4]
        assert page.startswith(MAGIC)
        with self._path.open("rb+") as stream:
            stream.write(page)

    def leaves_as_roots(self, connection: sqlite3.Connection, table: str, leaf: int) -> Iterator[sqlite3.Connection]:
        """Yield a connection per page that may hold rows of a table, with that page as the table's root.

        This reads rows that no sound page leads to. Pages of other tables may look like rows of this one.
        """
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        graft = self._path.with_name("graft")
        with _scratch_errors(self._gallery):
            shutil.copyfile(self._path, graft)
        with self._path.open("rb") as pages, graft.open("rb+") as stream:
            while page := pages.read(PAGE_BYTES):
                if page[0] == leaf:
                    stream.seek((root - 1) * PAGE_BYTES)
                    stream.write(page)
                    stream.flush()
                    with suppress(sqlite3.Error, UnicodeDecodeError), closing(connect(graft, FROZEN)) as grafted:
                        yield grafted
