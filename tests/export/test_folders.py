"""Folders that appear whole or not at all, seen from outside: what is there before, during and after."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from shitu_edge_export.errors import ExportError
from shitu_edge_export.folders import appearing, scratch_folder

MARKER = "bundle.json"


def content(folder: Path) -> dict[str, str]:
    """Return every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def fill(out: Path, text: str = "new") -> None:
    with appearing(out, MARKER) as folder:
        (folder / MARKER).write_text(text)
        (folder / "deep").mkdir()
        (folder / "deep" / "x.bin").write_text(text)


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A folder with nothing but a neighbor in it."""
    (tmp_path / "neighbor").write_text("stays")
    return tmp_path


def test_it_appears_at_the_end(parent: Path) -> None:
    out = parent / "bundle"
    with appearing(out, MARKER) as folder:
        assert folder.is_dir()
        assert not any(folder.iterdir())
        assert folder.parent.parent == parent, "on the same disk, so that it can be moved"
        (folder / MARKER).write_text("new")
        assert not out.exists()
    assert content(parent) == {"neighbor": "stays", "bundle/bundle.json": "new"}
    assert sorted(os.listdir(parent)) == ["bundle", "neighbor"], "nothing is left beside it"


def test_missing_parents_are_made(parent: Path) -> None:
    fill(parent / "a" / "b" / "bundle")
    assert (parent / "a" / "b" / "bundle" / MARKER).read_text() == "new"
    assert os.listdir(parent / "a" / "b") == ["bundle"]


def test_an_earlier_result_is_replaced_whole(parent: Path) -> None:
    out = parent / "bundle"
    fill(out, "old")
    (out / "left over").write_text("old")
    fill(out)
    assert content(out) == {MARKER: "new", "deep/x.bin": "new"}
    assert sorted(os.listdir(parent)) == ["bundle", "neighbor"]


def test_an_earlier_result_is_there_until_the_end(parent: Path) -> None:
    out = parent / "bundle"
    fill(out, "old")
    with appearing(out, MARKER) as folder:
        (folder / MARKER).write_text("new")
        assert content(out) == {MARKER: "old", "deep/x.bin": "old"}
    assert content(out) == {MARKER: "new"}


def fail_halfway(out: Path, error: type[BaseException]) -> None:
    with appearing(out, MARKER) as folder:
        (folder / MARKER).write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, ExportError])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_failure_leaves_everything_as_it_was(parent: Path, error: type[BaseException], earlier: bool) -> None:
    out = parent / "bundle"
    if earlier:
        fill(out, "old")
    before = content(parent)
    with pytest.raises(error):
        fail_halfway(out, error)
    assert content(parent) == before
    assert sorted(os.listdir(parent)) == (["bundle", "neighbor"] if earlier else ["neighbor"])


def test_an_empty_folder_is_taken(parent: Path) -> None:
    (parent / "bundle").mkdir()
    fill(parent / "bundle")
    assert (parent / "bundle" / MARKER).read_text() == "new"
    assert sorted(os.listdir(parent)) == ["bundle", "neighbor"]


def test_something_else_is_in_the_way(parent: Path) -> None:
    """A folder with other things in it, a file: neither is touched."""
    (parent / "photos").mkdir()
    (parent / "photos" / "a.jpg").write_text("mine")
    (parent / "file").write_text("mine")
    before = content(parent)
    for name in ("photos", "file", "neighbor"):
        with (
            pytest.raises(
                ExportError, match=rf"{name} is in the way, and is not an earlier result: it has no bundle\.json"
            ),
            appearing(parent / name, MARKER),
        ):
            pytest.fail("nothing is begun")
    assert content(parent) == before
    assert sorted(os.listdir(parent)) == ["file", "neighbor", "photos"]


def test_a_marker_that_is_a_folder_is_none(parent: Path) -> None:
    (parent / "bundle" / MARKER).mkdir(parents=True)
    with pytest.raises(ExportError, match="is in the way"), appearing(parent / "bundle", MARKER):
        pytest.fail("nothing is begun")


def test_a_file_where_the_parent_should_be(parent: Path) -> None:
    with (
        pytest.raises(ExportError, match=r"neighbor: cannot be written: "),
        appearing(parent / "neighbor" / "bundle", MARKER),
    ):
        pytest.fail("nothing is begun")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_parent_that_may_not_be_written(parent: Path) -> None:
    parent.chmod(0o500)
    try:
        with pytest.raises(ExportError, match="cannot be written: Permission denied"), appearing(parent / "b", MARKER):
            pytest.fail("nothing is begun")
    finally:
        parent.chmod(0o700)


def test_no_such_device(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match=r"/proc/self/fd: cannot be written"),
        appearing(Path("/proc/self/fd/bundle"), MARKER),
    ):
        pytest.fail("nothing is begun")


def test_relative_paths(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the folder appears is settled at the beginning."""
    (parent / "elsewhere").mkdir()
    monkeypatch.chdir(parent)
    with appearing(Path("bundle"), MARKER) as folder:
        (folder / MARKER).write_text("new")
        monkeypatch.chdir(parent / "elsewhere")
    assert (parent / "bundle" / MARKER).is_file()
    assert os.listdir(parent / "elsewhere") == []


def test_what_is_in_the_way_comes_meanwhile(parent: Path) -> None:
    """Somebody fills the place while the result is made: it is not lost silently."""
    out = parent / "bundle"
    with suppress(ExportError), appearing(out, MARKER) as folder:
        (folder / MARKER).write_text("new")
        out.mkdir()
        (out / "photo.jpg").write_text("mine")
    assert (out / "photo.jpg").read_text() == "mine"


def test_when_the_swap_fails_the_old_one_comes_back(parent: Path) -> None:
    out = parent / "bundle"
    fill(out, "old")
    with pytest.raises(FileNotFoundError), appearing(out, MARKER) as folder:
        folder.rmdir()
    assert content(out) == {MARKER: "old", "deep/x.bin": "old"}
    assert sorted(os.listdir(parent)) == ["bundle", "neighbor"]


def test_scratch_folders_vanish() -> None:
    with scratch_folder() as folder, scratch_folder() as other:
        assert folder != other
        (folder / "x").write_text("x")
    assert not folder.exists()
    with pytest.raises(ValueError, match="inside"), scratch_folder() as folder:
        raise ValueError("inside")
    assert not folder.exists()
