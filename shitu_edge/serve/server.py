"""The process: listening, signals, starting and stopping in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from uvicorn import Server

from ..errors import ShituError
from . import systemd
from .app import App
from .binding import address_of, listen, renew_certificate, settings
from .configuration import Configuration
from .folders import Folders
from .log import logged_to
from .service import Service

_log = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.001
"""A thread that computes lets another one run after this: a refusal waits for it once or twice."""


class HttpServer:
    """A server that listens, and answers while `run` runs."""

    def __init__(self, configuration: Configuration, folders: Folders, read: Callable[[], Configuration]) -> None:
        """Listen.

        Args:
            configuration: the options.
            folders: of state and cache.
            read: reads the options again, for a reload.

        Raises:
            OptionError: address, certificate or tokens cannot be used.
        """
        self.service = Service(configuration, folders, read)
        self._config = settings(App(self.service), configuration)
        self.service.on_reload = lambda reloaded: renew_certificate(self._config, reloaded)
        self._listening = listen(configuration)
        self.address = address_of(self._listening, configuration)
        """Where it listens: `http://127.0.0.1:8484`."""
        self._server = _Server(self._config, self.service)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Open bundle and gallery, and answer until `stop`, SIGINT or SIGTERM; SIGHUP reloads.

        Raises:
            ShituError: bundle or gallery cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        opening = asyncio.ensure_future(self._server.open())
        following = asyncio.ensure_future(self.service.look_after())
        try:
            await self._server.serve(sockets=[self._listening])
        finally:
            following.cancel()
            await asyncio.wait({opening, following})
            await asyncio.to_thread(self.service.close)
        if self._server.failure is not None:
            raise self._server.failure

    def stop(self) -> None:
        """End it when what was begun is answered; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._server.stop)


def serve(
    configuration: Configuration, read: Callable[[], Configuration], announce: Callable[[str, Folders], None]
) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        configuration: the options.
        read: reads them again, for a reload.
        announce: is told the address and the folders once it listens.

    Raises:
        ShituError: an option is wrong, or bundle or gallery cannot be opened.
    """
    folders = Folders.of(configuration)
    with logged_to(folders.log), _switching():
        server = HttpServer(configuration, folders, read)
        announce(server.address, folders)
        asyncio.run(server.run())
        _log.info("stopped")


@contextmanager
def _switching() -> Iterator[None]:
    """Have threads that compute give way sooner while the block lasts."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class _Server(Server):
    """uvicorn's server, which opens the service beside listening, and ends with exit code 0 when it is told to."""

    def __init__(self, config: Any, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.failure: Exception | None = None
        """Why the service could not be opened."""

    async def open(self) -> None:
        """Open the service; end the server if that fails."""
        try:
            await self._service.start()
        except Exception as error:  # whatever it is, it ends the process
            self.failure, self.should_exit = error, True
            return
        _log.info("ready" if self._service.is_ready else "not ready")
        systemd.tell("READY=1")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the block lasts, in the event loop where the system can."""
        loop = asyncio.get_running_loop()
        actions = {signal.SIGINT: self.stop, signal.SIGTERM: self.stop}
        if hasattr(signal, "SIGHUP"):
            actions[signal.SIGHUP] = self._reload
        for number, act in actions.items():
            try:
                loop.add_signal_handler(number, act)
            except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                if sys.platform == "win32":
                    signal.signal(number, lambda *_: loop.call_soon_threadsafe(self.stop))
        yield

    def stop(self) -> None:
        """Refuse further requests, and end; at once when called again."""
        systemd.tell("STOPPING=1")
        self.force_exit = self.should_exit
        self.should_exit = True
        self._service.stop()

    def _reload(self) -> None:
        self._reloading = asyncio.ensure_future(self._reload_logged())

    async def _reload_logged(self) -> None:
        systemd.tell("RELOADING=1")
        try:
            done = await self._service.reload()
            _log.info("reloaded: bundle %s, gallery revision %d", done.bundle, done.gallery_revision)
            if done.needs_restart:
                _log.warning("a restart is needed for %s", ", ".join(done.needs_restart))
        except ShituError as error:
            _log.error("not reloaded: %s", error)
        systemd.tell("READY=1")
