"""Digests of official archives: known, given, or those of the first download. No Paddle: the models are only found."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from shitu_edge_export.errors import ExportError, ModelError
from shitu_edge_export.official import RELEASES, Digests, Fetched, Release, fetch_release, find_release
from shitu_edge_export.progress import Progress

RELEASE = Release("drawn", "det_infer.tar", "sub/rec_infer.tar")
NONE: Digests = (None, None)


def pack(archive: Path, content: bytes) -> str:
    """Write an archive of a model of the content; return its SHA-256."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as tar:
        for name in ("inference.pdmodel", "inference.pdiparams"):
            member = tarfile.TarInfo(f"model/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(archive.read_bytes()).hexdigest()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    for name in (RELEASE.detector, RELEASE.extractor):
        pack(tmp_path / "mirror" / name, name.encode())
    return tmp_path / "mirror"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Give the address of a server of a folder's files, which is another each time."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def fetch(mirror: Path, cache: Path, digests: Digests = NONE, release: Release = RELEASE) -> Fetched:
    with served(mirror) as address:
        return fetch_release(release, cache, address, digests, Progress())


def test_first_download_says_and_records_its_digest(
    mirror: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched = fetch(mirror, tmp_path / "cache")
    told = capsys.readouterr().err
    for name, entry in zip((RELEASE.detector, RELEASE.extractor), fetched.downloads, strict=True):
        digest = hashlib.sha256((mirror / name).read_bytes()).hexdigest()
        assert entry.sha256 == json.loads(entry.path.with_suffix(".json").read_text())["sha256"] == digest
        assert f"SHA-256 {digest}, trusted as the first one" in told
    fetch(mirror, tmp_path / "cache")
    assert capsys.readouterr().err.count("as expected") == 2


@pytest.mark.parametrize("kept", [True, False], ids=["archive kept", "archive deleted"])
@pytest.mark.parametrize("moved", [True, False], ids=["another mirror", "same mirror"])
def test_later_download_that_differs_is_refused(mirror: Path, tmp_path: Path, kept: bool, moved: bool) -> None:
    first = fetch(mirror, tmp_path / "cache").downloads[0]
    if moved:
        mirror = mirror.rename(tmp_path / "moved")
    found = pack(mirror / RELEASE.detector, b"replaced")
    if kept:
        first.path.write_bytes(b"altered on disk")
    else:
        first.path.unlink()
    with pytest.raises(ExportError, match=f"expected {first.sha256}, found {found}; .*--detector-sha256"):
        fetch(mirror, tmp_path / "cache")
    assert fetch(mirror, tmp_path / "cache", (found, None)).downloads[0].sha256 == found, "named, it is taken"
    assert fetch(mirror, tmp_path / "cache").downloads[0].sha256 == found, "and remembered"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_record_that_is_damaged_is_none(mirror: Path, tmp_path: Path, text: str) -> None:
    record = fetch(mirror, tmp_path / "cache").downloads[0].path.with_suffix(".json")
    record.write_text(text)
    assert fetch(mirror, tmp_path / "cache").downloads[0].sha256 == json.loads(record.read_text())["sha256"]


def test_known_digest_is_required_without_being_named(tmp_path: Path) -> None:
    release = RELEASES["ppshitu-v2"]
    digests = [pack(tmp_path / "mirror" / name, b"not the real one") for name in (release.detector, release.extractor)]
    with pytest.raises(ExportError, match=f"expected {release.digests[1]}, found {digests[1]}"):
        fetch(tmp_path / "mirror", tmp_path / "cache", release=release)


def test_archive_in_a_folder_must_have_the_digest_given(mirror: Path, tmp_path: Path) -> None:
    (mirror / RELEASE.extractor).rename(mirror / "rec_infer.tar")
    digest = hashlib.sha256((mirror / "rec_infer.tar").read_bytes()).hexdigest()
    find_release(RELEASE, mirror, (None, digest.upper()), tmp_path / "scratch")
    with pytest.raises(ModelError, match=f"wrong SHA-256: expected {'0' * 64}, found {digest}"):
        find_release(RELEASE, mirror, (None, "0" * 64), tmp_path / "other")
    assert not (tmp_path / "other" / "rec_infer").exists(), "nothing of it was unpacked"


def test_unpacked_folder_has_no_digest(mirror: Path, tmp_path: Path) -> None:
    with tarfile.open(mirror / RELEASE.detector) as tar:
        tar.extractall(mirror / "det_infer", filter="data")
    with pytest.raises(ModelError, match=r"expected the archive det_infer\.tar"):
        find_release(RELEASE, mirror, ("0" * 64, None), tmp_path / "scratch")
