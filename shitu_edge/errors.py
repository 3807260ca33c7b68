"""The error tree.

    ShituError                 base of all; the message is one line for people
    ├── ImageError
    ├── OptionError            also a ValueError
    ├── BundleError
    ├── EngineError
    │   └── NoEngineError          in `engines`
    ├── ForkError
    ├── ClosedError
    ├── EmbeddingError
    └── GalleryError
        ├── DamagedError
        ├── FingerprintError
        ├── MisfitError
        └── NothingReadableError   in `enrollment.py`

Failure raises; absence is an empty result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ShituError(Exception):
    """Base of all errors that shitu-edge raises."""


class ImageError(ShituError):
    """An image cannot be read, is over a limit, or is an array of the wrong dtype or shape."""


class OptionError(ShituError, ValueError):
    """An option is of the wrong kind or out of range."""


class PromiseError(OptionError):
    """A gallery has too few products for a rate at a confidence; `missing` is how many more are needed, as text."""

    def __init__(self, message: str, missing: str = "") -> None:
        super().__init__(message)
        self.missing = missing


class BundleError(ShituError):
    """A model bundle is missing, altered or not understood."""


class EngineError(ShituError):
    """An inference engine is missing, or cannot load or run a network."""


class ForkError(ShituError):
    """A recognizer or gallery was opened before this process was forked, and cannot be used in it."""


class ClosedError(ShituError):
    """A recognizer was used after it was closed. (A closed gallery raises `GalleryError`.)"""


class EmbeddingError(ShituError):
    """The extractor's output is zero or not finite."""


class GalleryError(ShituError):
    """A gallery is missing, damaged, not a gallery, or used wrongly."""


class DamagedError(GalleryError):
    """A gallery file is damaged. `rescuable`: how many of how many items a repair keeps, if known."""

    def __init__(self, path: object, fault: str, rescuable: tuple[int, int] | None = None) -> None:
        kept = "what is intact" if rescuable is None else f"at least {rescuable[0]} of {rescuable[1]} items"
        super().__init__(f"{path}: is damaged: {fault}; `shitu-edge gallery repair {path}` keeps {kept}")
        self.fault = fault
        self.rescuable = rescuable


class FingerprintError(GalleryError):
    """A gallery holds embeddings of another extractor than the one in use. `expected`: that extractor's fingerprint."""

    def __init__(self, message: str, expected: str = "") -> None:
        super().__init__(message)
        self.expected = expected


class MisfitError(GalleryError):
    """Recorded revisions do not follow a gallery's own."""


@contextmanager
def os_errors_as(kind: type[ShituError], path: object, problem: str = "cannot be read") -> Iterator[None]:
    """Turn an `OSError` into `kind`, with the message `path: problem: reason`."""
    try:
        yield
    except OSError as error:
        raise kind(f"{path}: {problem}: {error.strerror}") from error


def reason_of(error: Exception) -> str:
    """Return an error's message for the command line; of system errors only file and reason."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{'the output' if error.filename is None else error.filename}: {error.strerror}"
