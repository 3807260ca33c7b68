"""The service: opened in the background, reloaded without losing a request, closed in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from .. import __version__
from ..errors import EmbeddingError, EngineError, ShituError
from ..recognizer import Recognizer
from ..results.stream import StreamAnswer
from ..stages.decode import Source
from ..system.memory import resident_bytes
from .access import Access
from .admission import Admission, BusyError
from .cameras import Camera
from .configuration import FIXED, Configuration
from .engines import Retry
from .folders import Folders
from .metrics import Metrics
from .opened import FileState, Opened
from .ready import Check, check
from .streams import LiveStream, Streams
from .tokens import Tokens

_log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_CHANGES = 8
"""Changes of the gallery that may wait for each other; SQLite writes one at a time."""

_EVERY_S = 1.0
"""How often the gallery's file and idle streams are looked for."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A reload that has succeeded.

    Attributes:
        gallery_revision: of the gallery that is open now.
        bundle: its name.
        needs_restart: options that have changed, and hold only after a restart.
        check: what the golden image showed.
    """

    gallery_revision: int
    bundle: str
    needs_restart: tuple[str, ...]
    check: Check


class Service:
    """Everything that requests share. Used from one event loop; `use` also from its threads."""

    def __init__(self, configuration: Configuration, folders: Folders, read: Callable[[], Configuration]) -> None:
        """Begin closed; `start` opens.

        Args:
            configuration: the options.
            folders: of state and cache.
            read: reads the options again, for a reload.
        """
        self.configuration = configuration
        self.folders = folders
        self.metrics = Metrics()
        self.access = Access.of(configuration, Tokens(folders.state / "tokens"))
        self.recognizing = Admission(configuration.queue)
        self.changing = Admission(MOST_CHANGES)
        self.streams = Streams(self.metrics)
        self._cameras: list[Camera] = []
        self.check: Check | None = None
        self.on_reload: Callable[[Configuration], None] = lambda _: None
        """Is told the new options before they hold, and may refuse them."""
        self._read = read
        self._opened: Opened | None = None
        self._reloading = asyncio.Lock()
        self._unusable: tuple[FileState, FileState] | None = None
        self._follow()

    async def start(self) -> None:
        """Open the gallery and the recognizer, and check the golden image.

        Raises:
            ShituError: they cannot be opened.
        """
        opened, found = await asyncio.to_thread(_open, self.configuration, self.folders)
        self._swap(opened, found)
        for named in self.configuration.watch:
            name, _, source = named.partition("=")
            self._cameras.append(Camera(self.streams.own(name), source, self._feed))

    async def reload(self) -> Reloaded:
        """Read the options again and open what they name; answer with that from then on.

        What was open answers until then, and those requests that it has begun with.

        Raises:
            ShituError: the options are wrong, or something cannot be opened; all stays as it was.
        """
        async with self._reloading:
            return await self._reload()

    async def renew(self) -> bool:
        """Reload if another file has taken the place of the gallery; return whether the gallery is another one now.

        A file that could not be opened is tried again when it has changed.
        """
        before = self._opened
        async with self._reloading:
            opened = self._opened
            if opened is not before or opened is None or not opened.is_outdated:
                return opened is not before
            state = opened.present()
            if state == self._unusable:
                return False
            try:
                await self._reload()
            except ShituError as error:
                self._unusable = state
                _log.error("the gallery was replaced or deleted, and cannot be opened again: %s", error)
                return False
            _log.warning("the gallery was replaced by another file, which is open now")
            return True

    async def look_after(self) -> None:
        """Notice replaced files, and end idle streams, every second; never ends."""
        while True:
            await asyncio.sleep(_EVERY_S)
            self.streams.end_idle(self.configuration.stream_idle_s)
            try:
                await self.renew()
            except Exception:  # the next second is another chance
                _log.exception("the gallery's file cannot be looked after")

    async def _reload(self) -> Reloaded:
        try:
            configuration = self._read()
            access = Access.of(configuration, Tokens(self.folders.state / "tokens"))
            opened, found = await asyncio.to_thread(_open, configuration, self.folders)
            try:
                self.on_reload(configuration)
            except ShituError:
                opened.retire()
                raise
        except ShituError:
            self.metrics.reloads.labels("failed").inc()
            raise
        changed = [name for name in FIXED if getattr(configuration, name) != getattr(self.configuration, name)]
        self.configuration, self.access = configuration, access
        self.recognizing.most = configuration.queue
        self._swap(opened, found)
        self.metrics.reloads.labels("done").inc()
        return Reloaded(opened.gallery.revision, opened.recognizer.bundle.manifest.name, tuple(changed), found)

    @contextmanager
    def use(self) -> Iterator[Opened]:
        """Yield what is open, and keep it open; raises `BusyError` while the server starts."""
        opened = self._opened
        if opened is None:
            raise BusyError("starting", "the server is starting", 500)
        with opened.use():
            yield opened

    def ask(self, opened: Opened, call: Callable[[Recognizer], T]) -> tuple[T, Retry | None]:
        """Return what a recognizer answers, and the engine that failed before; counts failures. See `Engines.run`."""
        try:
            answer, retry = opened.engines.run(call)
        except (EngineError, EmbeddingError):
            self.metrics.engine_errors.inc()
            raise
        if retry is not None:
            self.metrics.retries.labels(retry.engine).inc()
        return answer, retry

    def feed(
        self, stream: LiveStream, opened: Opened, image: Source, at_s: float | None
    ) -> tuple[StreamAnswer, Retry | None]:
        """Return a stream's answer to a frame, and the engine that failed before; in a worker thread.

        A stream stays with the recognizer that has answered it, as another one begins it again.
        """
        engines = opened.engines
        maker = stream.maker if stream.maker in engines.all else engines.first
        try:
            return stream.feed(maker, image, at_s), None
        except (EngineError, EmbeddingError):
            return self.ask(opened, lambda one: stream.feed(one, image, at_s))

    @property
    def is_ready(self) -> bool:
        """Whether the golden image was recognized right, and nothing is broken since."""
        return self._opened is not None and self.check is not None and self.check.right and self.broken is None

    @property
    def broken(self) -> str | None:
        """Why images cannot be recognized: the last call failed on every engine, or the gallery's file is gone."""
        opened = self._opened
        if opened is None:
            return None
        return f"{opened.gallery}: was replaced or deleted" if opened.is_outdated else opened.engines.broken

    def refresh(self) -> None:
        """Set the gauges that ask the gallery, which may read its file."""
        try:
            with self.use() as opened:
                calibration = opened.recognizer.calibration()
                local = opened.local
                self.metrics.state(
                    ready=self.is_ready,
                    items=len(opened.gallery) + (0 if local is None else len(local)),
                    revision=opened.gallery.revision,
                    local_revision=0 if local is None else local.revision,
                    calibration=None if calibration is None else calibration.state,
                )
        except (BusyError, ShituError):
            self.metrics.state(ready=False, items=0, revision=0, local_revision=0, calibration=None)

    def stop(self) -> None:
        """Refuse further requests."""
        self.recognizing.stop()
        self.changing.stop()
        self.streams.close()

    def close(self) -> None:
        """End the threads and close what is open; call it outside of the event loop, which still runs."""
        for camera in self._cameras:
            camera.stop()
        self.recognizing.close()
        self.changing.close()
        if self._opened is not None:
            self._opened.retire()
            self._opened = None

    async def _feed(self, stream: LiveStream, image: Source, at_s: float) -> None:
        """Have a camera's frame looked at."""

        def work() -> StreamAnswer:
            with self.use() as opened:
                return self.feed(stream, opened, image, at_s)[0]

        stream.begin()
        try:
            answer: StreamAnswer = (await self.recognizing.run(work, None)).result
        finally:
            stream.end()
        stream.answered(answer)

    def _swap(self, opened: Opened, found: Check) -> None:
        before, self._opened, self.check = self._opened, opened, found
        recognizer = opened.recognizer
        self.metrics.made_by(
            version=__version__,
            bundle=recognizer.bundle.manifest.name,
            engine=recognizer.extractor_info.engine,
            precision=recognizer.extractor_info.precision,
        )
        if not found.right:
            _log.error("not ready: %s", found.message)
        if before is not None:
            before.retire()

    def _follow(self) -> None:
        follow = self.metrics.follow
        follow("queue_length", "Requests that are answered or wait", lambda: self.recognizing.inside)
        follow("streams", "Streams that are open", lambda: len(self.streams))
        follow("resident_bytes", "Memory of this process", lambda: resident_bytes() or 0)


def _open(configuration: Configuration, folders: Folders) -> tuple[Opened, Check]:
    opened = Opened.open(configuration, folders)
    try:
        return opened, check(opened.recognizer, configuration)
    except BaseException:
        opened.retire()
        raise
