"""Reading with a bound and writing aside, against pipes, devices, links and a disk that is full."""

import os
import stat
from pathlib import Path

import pytest

from shitu_edge.files import file_inside, read_bounded, write_aside


def test_read_bounded_returns_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10) == b"x" * 10


def test_read_bounded_refuses_one_byte_too_many(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_bounded(path, 10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_read_bounded_does_not_wait_for_a_fifo(tmp_path: Path) -> None:
    path = tmp_path / "a"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(path, 10)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_read_bounded_refuses_a_link_to_an_endless_device(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(path, 10)


def test_read_bounded_says_that_a_folder_is_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"folder|directory"):
        read_bounded(tmp_path, 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `a/1.jpg` in it and `2.jpg` beside it."""
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "1.jpg").touch()
    (tmp_path / "2.jpg").touch()
    return folder


@pytest.mark.parametrize("name", ["a/1.jpg", "./a//1.jpg", "a/../a/1.jpg", "{}/folder/a/1.jpg"])
def test_file_inside_finds_what_is_there(folder: Path, name: str) -> None:
    assert file_inside(folder, name.format(folder.parent)) == folder.resolve() / "a" / "1.jpg"


@pytest.mark.parametrize(
    "name", ["", ".", "a", "b.jpg", "../2.jpg", "a/../../2.jpg", "{}/2.jpg", "/", "a\0", "x" * 5000, "1.jpg/" * 900]
)
def test_file_inside_refuses_what_is_no_file_there(folder: Path, name: str) -> None:
    assert file_inside(folder, name.format(folder.parent)) is None


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
def test_file_inside_follows_links_within_the_folder(folder: Path) -> None:
    links = {"in.jpg": "a/1.jpg", "out.jpg": "../2.jpg", "up": "..", "loop": "loop"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    names = ["in.jpg", "out.jpg", "up/2.jpg", "up/folder/a/1.jpg", "loop", "pipe"]
    one = folder.resolve() / "a" / "1.jpg"
    assert [file_inside(folder, name) for name in names] == [one, None, None, one, None, None]


def test_write_aside_replaces_a_file_and_follows_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)
    write_aside(link, b"new")
    assert (path.read_bytes(), link.is_symlink(), sorted(os.listdir(tmp_path))) == (b"new", True, ["a", "link"])


def test_write_aside_gives_new_files_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_aside(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="this system has no /dev/null")
def test_write_aside_writes_to_a_device(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    write_aside(tmp_path / "null", b"x")
    assert os.listdir(tmp_path) == ["null"]


def test_write_aside_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limit on file sizes")
    path = tmp_path / "a"
    path.write_bytes(b"old")
    child = os.fork()
    if child == 0:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            write_aside(path, b"x" * 1000)
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["a"])
