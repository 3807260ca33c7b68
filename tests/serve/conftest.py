"""A server on a free port in a thread of the tests, over tiny networks."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from shitu_edge.serve.configuration import Configuration, configuration
from shitu_edge.serve.folders import Folders
from shitu_edge.serve.server import HttpServer
from shitu_edge.serve.service import Service
from shitu_edge.serve.tokens import SCOPES
from tests.test_recognizer import make_shop

from .client import Client

WITHIN_S = 60


@dataclass
class Serving:
    """A server that runs, and a client of it."""

    server: HttpServer
    client: Client
    given: dict[str, Any]
    """Its options, which a reload reads again."""

    @property
    def service(self) -> Service:
        return self.server.service

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine in the server's event loop, and return what it returns."""
        loop = self.server._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(WITHIN_S)


Serve = Callable[..., Serving]


@pytest.fixture(scope="session")
def shop(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with a red and a green product."""
    return make_shop(tiny_bundle, tmp_path_factory.mktemp("serve") / "shop.gallery", "grün")


@contextmanager
def running(given: dict[str, Any], *, wait: bool = True) -> Iterator[Serving]:
    """Run a server with these options until the block ends."""

    def read() -> Configuration:
        return configuration(given.get("file"), {name: value for name, value in given.items() if name != "file"})

    found = read()
    folders = Folders.of(found)
    server = HttpServer(found, folders, read)
    thread = threading.Thread(target=lambda: asyncio.run(server.run()), name="serving")
    thread.start()
    tokens: dict[str, str] = {scope: (folders.state / "tokens" / scope).read_text().strip() for scope in SCOPES}
    serving = Serving(server, Client(server.address, tokens), given)
    try:
        while wait and serving.client.get("/readyz").json["check"] is None:
            threading.Event().wait(0.01)
        yield serving
    finally:
        server.stop()
        thread.join(WITHIN_S)
        assert not thread.is_alive()


@pytest.fixture
def serve(tiny_bundle: Path, shop: Path, tmp_path: Path) -> Iterator[Serve]:
    """Start servers over a copy of the shop, with options as given."""
    with ExitStack() as stack:

        def start(*, wait: bool = True, **given: Any) -> Serving:
            gallery = tmp_path / "shop.gallery"
            if not gallery.exists():
                shutil.copy(shop, gallery)
            usual = {"gallery": str(gallery), "models": str(tiny_bundle), "port": 0, "state": str(tmp_path / "state")}
            return stack.enter_context(running(usual | given, wait=wait))

        yield start


@pytest.fixture(scope="module")
def shared_server(tiny_bundle: Path, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for the tests of a module that change nothing that others rely on."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy(shop, folder)
    given = {
        "gallery": str(folder / "shop.gallery"),
        "models": str(tiny_bundle),
        "port": 0,
        "state": str(folder / "state"),
    }
    with running(given) as serving:
        yield serving
