"""The gallery and the recognizers that answer requests, replaced as a whole by a reload."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from ..engines import ENGINES, EngineName
from ..errors import OptionError
from ..gallery import Gallery
from ..recognizer import Recognizer
from ..stages.decode import DecodeLimits
from ..stages.view import View
from .configuration import Configuration
from .engines import Engines
from .folders import Folders

FileState = tuple[int, int, int, int] | None
"""Device, inode, size and time of change of a file; None if it is missing."""


class Opened:
    """A gallery and recognizers, open as a configuration says, until the last request that uses them is over."""

    def __init__(self, configuration: Configuration, gallery: Gallery, engines: Engines, resources: ExitStack) -> None:
        self.configuration = configuration
        self.gallery = gallery
        self.engines = engines
        self._files = _states(configuration)
        self._resources = resources
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False

    @classmethod
    def open(cls, configuration: Configuration, folders: Folders) -> Opened:
        """Open the gallery and the first recognizer.

        Raises:
            ShituError: as `Recognizer.open`; `OptionError` also if no gallery is named.
        """
        if configuration.gallery is None:
            raise OptionError("gallery: expected the file of a gallery")
        with ExitStack() as stack:
            gallery = stack.enter_context(Gallery.open(configuration.gallery))
            first = _recognizer(configuration, folders, gallery, configuration.local, configuration.engine)
            stack.callback(first.close)
            open_other = None
            if configuration.engine == "auto":
                local = first.local if configuration.local else None
                open_other = partial(_recognizer, configuration, folders, gallery, local, _other_than(first))
            engines = Engines(first, open_other)
            stack.callback(engines.close)
            return cls(configuration, gallery, engines, stack.pop_all())

    @property
    def recognizer(self) -> Recognizer:
        """The recognizer that is asked first."""
        return self.engines.first

    @property
    def local(self) -> Gallery | None:
        """The local layer, if there is one."""
        return self.recognizer.local if self.configuration.local else None

    @property
    def changed(self) -> Gallery:
        """The gallery that changes go to: the local layer, if there is one."""
        return self.local or self.gallery

    @property
    def is_outdated(self) -> bool:
        """Whether other files lie where the gallery and its local layer lay, or none."""
        return [one and one[:2] for one in self.present()] != [one and one[:2] for one in self._files]

    def present(self) -> tuple[FileState, FileState]:
        """Return what lies now where the gallery and its local layer lay; it differs after every change of a file."""
        return _states(self.configuration)

    @contextmanager
    def use(self) -> Iterator[Opened]:
        """Keep it open while the block lasts."""
        with self._lock:
            self._users += 1
        try:
            yield self
        finally:
            with self._lock:
                self._users -= 1
            self._close_unused()

    def retire(self) -> None:
        """Close it when nobody uses it any more."""
        with self._lock:
            self._retired = True
        self._close_unused()

    def _close_unused(self) -> None:
        with self._lock:
            resources = self._resources.pop_all() if self._retired and not self._users else None
        if resources is not None:
            resources.close()


def _recognizer(
    configuration: Configuration,
    folders: Folders,
    gallery: Gallery,
    local: Gallery | str | None,
    engine: EngineName,
) -> Recognizer:
    return Recognizer.open(
        configuration.models,
        gallery,
        local=local,
        engine=engine,
        precision=configuration.precision if engine == configuration.engine else None,
        threads=configuration.threads,
        profile=configuration.profile if engine == configuration.engine else None,
        cache=folders.cache or "",
        limits=DecodeLimits(configuration.max_body_mb << 20, configuration.max_megapixels * 1_000_000),
        second_look=configuration.second_look,
        view=View.read(configuration.camera) if configuration.camera else None,
    )


def _other_than(recognizer: Recognizer) -> EngineName:
    return next(one for one in ENGINES if one != recognizer.extractor_info.engine)


def _states(configuration: Configuration) -> tuple[FileState, FileState]:
    return _state(configuration.gallery), _state(configuration.local)


def _state(path: str | None) -> FileState:
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
