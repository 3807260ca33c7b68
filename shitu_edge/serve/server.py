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


def serve(configuration: Configuration, read: Callable[[], Configuration], announce: Callable[[str], None]) -> None:
    """Answer requests until SIGINT or SIGTERM; SIGHUP reloads.

    Args:
        configuration: the options.
        read: reads them again, for a reload.
        announce: is told the address and the folders.

    Raises:
        ShituError: an option is wrong, or bundle or gallery cannot be opened.
    """
    folders = Folders.of(configuration)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with logged_to(folders.log):
        asyncio.run(_serve(configuration, folders, read, announce))


async def _serve(
    configuration: Configuration,
    folders: Folders,
    read: Callable[[], Configuration],
    announce: Callable[[str], None],
) -> None:
    service = Service(configuration, folders, read)
    config = settings(App(service), configuration)
    service.on_reload = lambda reloaded: renew_certificate(config, reloaded)
    server = _Server(config, service)
    listening = listen(configuration)
    announce(f"serving at {address_of(listening, configuration)}")
    announce(folders.described())
    opening = asyncio.ensure_future(server.open())
    following = asyncio.ensure_future(service.follow_files())
    try:
        await server.serve(sockets=[listening])
    finally:
        following.cancel()
        await asyncio.wait({opening})
        await asyncio.to_thread(service.close)
    if server.failure is not None:
        raise server.failure
    _log.info("stopped")


class _Server(Server):
    """uvicorn's server, which opens the service beside listening, and ends with exit code 0 when it is told to."""

    def __init__(self, config: Any, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.failure: ShituError | None = None
        """Why the service could not be opened."""

    async def open(self) -> None:
        """Open the service; end the server if that fails."""
        try:
            await self._service.start()
        except ShituError as error:
            self.failure, self.should_exit = error, True
            return
        _log.info("ready" if self._service.is_ready else "not ready")
        systemd.tell("READY=1")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the block lasts, in the event loop where the system can."""
        loop = asyncio.get_running_loop()
        actions = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop}
        if hasattr(signal, "SIGHUP"):
            actions[signal.SIGHUP] = self._reload
        for number, act in actions.items():
            try:
                loop.add_signal_handler(number, act)
            except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                if sys.platform == "win32":
                    signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._stop))
        yield

    def _stop(self) -> None:
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
