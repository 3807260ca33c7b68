"""Fixtures of all tests: shared data, a compiled-model cache of their own, a bundle of tiny networks, a shell."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from shitu_edge.cli import main
from shitu_edge.engines.cache import CACHE_VARIABLE

from .networks import write_bundle
from .shell import Run, Shell

_SHARED_VARIABLE = "SHITU_EDGE_SHARED"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and models beside the project, or `$SHITU_EDGE_SHARED`; skips where there is none."""
    folder = Path(os.environ.get(_SHARED_VARIABLE) or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"no shared data: {folder} is no folder, and ${_SHARED_VARIABLE} names no other")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled models of the tests, also of processes that they start, out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle of the tiny networks of `tests.networks`."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_bundle(folder)
    return folder


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """Files end at 100 bytes while the context lasts: the system's limit stands in for a disk that is full."""
    resource = pytest.importorskip("resource", reason="this system has no limit on file sizes")

    @contextmanager
    def limited() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    """Run `shitu-edge` with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Run:
        monkeypatch.setattr(sys, "argv", ["shitu-edge", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        code = exit_.value.code
        return Run(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run
