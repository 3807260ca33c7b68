"""The error tree.

    ShituError                 anything shitu-edge refuses to do; the message is one line for people
    ├── ImageError             an image that cannot be read, is too large, or an array of the wrong kind
    ├── OptionError            an option outside what it may be; also a ValueError
    ├── BundleError            a model bundle that is missing, altered or not understood
    ├── EngineError            an inference engine that is missing or cannot run a network
    ├── ForkError              something opened before this process was forked off another
    ├── EmbeddingError         a network answered with a zero or non-finite vector
    └── GalleryError           a gallery that is missing, damaged or used wrongly
        ├── DamagedError           a gallery file that is not what was written
        ├── FingerprintError       a gallery made with another extractor
        ├── MisfitError            recorded revisions that do not follow a gallery's own
        └── NothingReadableError   none of the images to enroll can be read (in `enrollment.py`)

Failure raises; absence is an empty result.
"""


class ShituError(Exception):
    """Base of all errors that shitu-edge raises on purpose."""


class ImageError(ShituError):
    """An image cannot be read, is over a limit, or is an array of the wrong dtype or shape."""


class OptionError(ShituError, ValueError):
    """An option is outside what it may be."""


class BundleError(ShituError):
    """A model bundle is missing, altered or not understood."""


class EngineError(ShituError):
    """An inference engine is missing, or cannot load or run a network."""


class ForkError(ShituError):
    """A recognizer or gallery was opened before this process was forked off, and cannot be used in it."""


class EmbeddingError(ShituError):
    """The extractor answered with a vector that has no direction: zero or non-finite."""


class GalleryError(ShituError):
    """A gallery is missing, damaged, not a gallery, or was asked for something impossible."""


class DamagedError(GalleryError):
    """A gallery file is not what was written. `rescuable`: how many of how many items could be kept, where known."""

    def __init__(self, path: object, fault: str, rescuable: tuple[int, int] | None = None) -> None:
        kept = "what is whole" if rescuable is None else f"at least {rescuable[0]} of {rescuable[1]} items"
        super().__init__(f"{path}: is damaged: {fault}; `shitu-edge gallery repair {path}` keeps {kept}")
        self.fault = fault
        self.rescuable = rescuable


class FingerprintError(GalleryError):
    """A gallery holds embeddings of another extractor than the one in use. `expected`: that extractor's fingerprint."""

    def __init__(self, message: str, expected: str = "") -> None:
        super().__init__(message)
        self.expected = expected


class MisfitError(GalleryError):
    """Recorded revisions do not follow those that a gallery has."""


def reason_of(error: Exception) -> str:
    """Return what a command line says of an error: of the system's, the file and the reason alone."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{'the output' if error.filename is None else error.filename}: {error.strerror}"
