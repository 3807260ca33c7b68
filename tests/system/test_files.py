"""Reading with a bound and writing aside, against pipes, devices, links and a disk that is full."""

import os
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from shitu_edge.system.files import check_writable, file_inside, parse_json, read_bounded, write_aside


def test_read_bounded_returns_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10) == b"x" * 10


def test_read_bounded_refuses_one_byte_too_many(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_bounded(path, 10)


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="this system has no /proc")
def test_read_bounded_reads_a_file_whose_size_is_told_as_nothing() -> None:
    assert read_bounded("/proc/self/limits", 1 << 20) == Path("/proc/self/limits").read_bytes()
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_bounded("/proc/self/limits", 10)


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
    with pytest.raises(OSError, match="is a folder, not a regular file"):
        read_bounded(tmp_path, 10)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system does not list open files")
def test_read_bounded_leaves_nothing_open(tmp_path: Path) -> None:
    before = os.listdir("/dev/fd")
    for path in (tmp_path, tmp_path / "none", Path("/dev/null")):
        with pytest.raises(OSError, match=r"not a regular file|No such file"):
            read_bounded(path, 10)
    assert os.listdir("/dev/fd") == before


def test_read_bounded_takes_little_memory_for_a_large_file(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(1 << 32)
    tracemalloc.start()
    with pytest.raises(OSError, match="larger than 1073741824 bytes"):
        read_bounded(tmp_path / "sparse", 1 << 30)
    (tmp_path / "small").write_bytes(b"x" * 10)
    assert read_bounded(tmp_path / "small", 1 << 30) == b"x" * 10
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_read_bounded_returns_a_file_whose_size_is_not_said() -> None:
    assert read_bounded("/proc/self/status", 1 << 20).startswith(b"Name:")


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


def test_write_aside_takes_the_longest_names(tmp_path: Path) -> None:
    path = tmp_path / ("图" * 85)
    write_aside(path, b"x")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"x"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no /dev/stdout")
def test_write_aside_writes_to_a_pipe() -> None:
    code = "from shitu_edge.system.files import *; check_writable('/dev/stdout'); write_aside('/dev/stdout', b'x')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"x"


def test_check_writable_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    check_writable(tmp_path / "old")
    check_writable(tmp_path / "new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("old", b"old")]


@pytest.mark.parametrize("name", [".", "none/new", "file/new", "x" * 300])
def test_check_writable_refuses_what_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    for write in (check_writable, lambda path: write_aside(path, b"x")):
        with pytest.raises(OSError, match=r"Is a directory|No such file|Not a directory|name too long") as caught:
            write(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("content", [b"[" * 100_000, b"1" * 10_000, b"{", b"", b"\xff", b'{"a": 1} x', "\ud800"])
def test_parse_json_says_in_one_line_what_is_wrong(content: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"^is not JSON: [^\n]+$"):
        parse_json(content)
