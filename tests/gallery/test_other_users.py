"""Users who may read a gallery and not write it: what they see, and what they leave behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store.schema import ContentDigest, entry_digest

from .rows import create, new_items, unit_rows

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root becomes other users")

_ROUNDS = 100 * int(os.environ.get("SHITU_EDGE_TEST_SCALE", "1"))
_OWNER, _COLLEAGUE = 54321, 65534
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users reach, as those of pytest are not."""
    made = Path(tempfile.mkdtemp(prefix="shitu-edge-test-"))
    yield made
    shutil.rmtree(made)


def _as_user(user: int, what: str, *arguments: Any) -> Any:
    """Have a function of this module called by another user, and return what it returns."""
    script = "import json, os, sys; from tests.gallery import test_other_users as module; import shitu_edge.engines\n"
    script += "user, what, arguments = json.loads(sys.argv[1])\nos.setgroups([]); os.setgid(user); os.setuid(user)\n"
    script += "print(json.dumps(getattr(module, what)(*arguments)))"
    command = [sys.executable, "-W", "error", "-c", script, json.dumps([user, what, [str(a) for a in arguments]])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=_ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def use(path: str) -> int:
    """Do all that needs no right to write, and return how many items there are."""
    with Gallery.open(path, background=False) as gallery:
        gallery.items(), gallery.history.log(), gallery.info()
        assert len(gallery.search(unit_rows(1), 100)[0]) == len(gallery)
        assert verify(Path(path)).faults == ()
        return len(gallery)


def enroll(path: str) -> str | None:
    """Add an item, and return what is said against it."""
    try:
        with Gallery.open(path, background=False) as gallery:
            gallery.add(new_items(unit_rows(1, seed=5)))
    except GalleryError as error:
        return str(error)
    return None


# -- beside a writer


def change_all_the_time(path: str, closing: str) -> None:
    """Change a gallery until killed, opening it for each change or for many; say when it has begun."""
    chance, told = random.Random(1), False
    while True:
        with Gallery.open(path, background=False) as gallery:
            for _ in range(1 if closing == "True" else 60):
                gallery.add(new_items(unit_rows(3, seed=chance.randrange(99)), "new"))
                told = told or print("begun", flush=True) is None
                gallery.remove([entry.id for entry in gallery.items()][:3])
                if chance.random() < 0.1:
                    gallery.history.prune(2)
                if chance.random() < 0.05:
                    gallery.history.compact() if closing == "True" else gallery.history.rollback(gallery.revision - 1)


def follow(path: str, rounds: str) -> int:
    """Read a gallery again and again, check that what is read is sound, and return the last revision seen."""
    seen, gallery = 0, None
    for number in range(int(rounds)):
        gallery = gallery or Gallery.open(path, background=False)
        seen = _no_older_than(seen, gallery.revision)
        with gallery._store.snapshot() as snapshot:
            seen = _no_older_than(seen, snapshot.revision)
            content, ids = ContentDigest(), snapshot.load().added
            vectors = dict(zip(ids.tolist(), snapshot.embeddings(ids), strict=True))
            for entry in snapshot.items():
                content.add(entry_digest(entry.id, entry.label, entry.source, vectors[entry.id].tobytes()))
            assert bytes(content).hex() == snapshot.log()[0].digest
        revision, [matches] = gallery.search_with_revision(unit_rows(1), 10_000)  # each rollback leaves 3 more
        seen = _no_older_than(seen, revision)
        assert len(matches) == len(ids) or revision > snapshot.revision
        if number % 20 == 0:
            assert verify(Path(path)).faults == ()
        if number % 7 == 0:
            gallery.close()
            gallery = None
    return seen


def _no_older_than(seen: int, found: int) -> int:
    assert found >= seen
    return found


@pytest.mark.parametrize("closing", [True, False], ids=["opened for each change", "kept open"])
@pytest.mark.parametrize("mode", [0o755, 0o777], ids=["read-only folder", "writable folder"])
def test_reader_beside_a_busy_writer_sees_sound_revisions_in_order(folder: Path, mode: int, closing: bool) -> None:
    path = folder / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(40)))
    folder.chmod(mode)
    script = f"from tests.gallery.test_other_users import *; change_all_the_time({str(path)!r}, {str(closing)!r})"
    with subprocess.Popen([sys.executable, "-c", script], cwd=_ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"begun\n"
        try:
            seen = _as_user(_COLLEAGUE, "follow", path, _ROUNDS)
            assert writer.poll() is None, "the writer ended, see its standard error"
        finally:
            writer.kill()
    assert seen > 2
    assert {file.stat().st_uid for file in folder.iterdir()} == {0}
    assert verify(path).faults == ()


# -- what is left


@pytest.mark.parametrize("mode", [0o755, 0o777], ids=["read-only folder", "writable folder"])
def test_whoever_may_only_read_leaves_no_file(folder: Path, mode: int) -> None:
    path = folder / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(3)))
    os.chown(path, _OWNER, _OWNER)
    os.chown(folder, _OWNER, _OWNER)
    folder.chmod(mode)
    assert _as_user(_COLLEAGUE, "use", path) == 3
    assert "is read-only here" in _as_user(_COLLEAGUE, "enroll", path)
    assert [file.name for file in folder.iterdir()] == ["shop.gallery"]
    assert _as_user(_OWNER, "enroll", path) is None
    assert _as_user(_COLLEAGUE, "use", path) == 4


def test_a_log_left_by_another_is_read_by_whoever_cannot_share_it(folder: Path) -> None:
    """The log holds the newest revision, and nobody has it open."""
    path, used = folder / "shop.gallery", folder / "used.gallery"
    with create(used) as gallery:
        gallery.history.compact()
        gallery.add(new_items(unit_rows(3)))
        shutil.copyfile(used, path)
        shutil.copyfile(f"{used}-wal", f"{path}-wal")
    folder.chmod(0o755)
    for mode in (0o755, 0o777):
        folder.chmod(mode)
        assert _as_user(_COLLEAGUE, "use", path) == 3
    assert sorted(file.name for file in folder.iterdir()) == ["shop.gallery", "shop.gallery-wal", "used.gallery"]


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_files_left_by_another_are_named_with_the_remedy(folder: Path, suffix: str) -> None:
    """As earlier versions left them."""
    path, left = folder / "shop.gallery", folder / f"shop.gallery{suffix}"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(3)))
    for file in (path, folder):
        os.chown(file, _OWNER, _OWNER)
    left.write_bytes(bytes(32768 if suffix == "-shm" else 0))
    os.chown(left, _COLLEAGUE, _COLLEAGUE)
    assert _as_user(_OWNER, "use", path) == 3
    message = _as_user(_OWNER, "enroll", path)
    assert f"{left.name} beside it was left by nobody and is read-only" in message
    assert "delete it once no program has the gallery open" in message
    left.unlink()
    assert _as_user(_OWNER, "enroll", path) is None


def test_a_log_with_changes_of_another_is_not_to_be_deleted(folder: Path) -> None:
    path, used = folder / "shop.gallery", folder / "used.gallery"
    with create(used) as gallery:
        gallery.history.compact()
        gallery.add(new_items(unit_rows(3)))
        shutil.copyfile(used, path)
        shutil.copyfile(f"{used}-wal", f"{path}-wal")
    for file in (path, folder):
        os.chown(file, _OWNER, _OWNER)
    assert _as_user(_OWNER, "use", path) == 3
    message = _as_user(_OWNER, "enroll", path)
    assert "it holds changes: have root open the gallery once, which folds them in" in message
    assert enroll(str(path)) is None, "as root, which folds it in"
    assert _as_user(_OWNER, "enroll", path) is None
    assert _as_user(_OWNER, "use", path) == 5
