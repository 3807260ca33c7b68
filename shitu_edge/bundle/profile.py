"""Profiles: the measured fastest engine, precisions and threads for a bundle on a machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from ..engines import EngineName
from ..errors import OptionError
from ..ranges import MOST_THREADS, require_number, require_one_of, require_whole, shown
from ..schema import SchemaError, build
from ..system.files import read_json, write_aside
from .manifest import Bundle, Precision

SCHEMA_VERSION = 1
_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Profile:
    """Result of `shitu-edge tune`; explicit options of `Recognizer.open` override it.

    Attributes:
        bundle, bundle_digest: the bundle it was measured with, and is valid for.
        cpu: the processor it was measured on.
        engine, detector_precision, extractor_precision, threads: as in `Recognizer.open`.
        p50_ms, p95_ms: milliseconds per image with these.
    """

    schema_version: int
    bundle: str
    bundle_digest: str
    cpu: str
    engine: EngineName
    detector_precision: Precision
    extractor_precision: Precision
    threads: int
    p50_ms: float
    p95_ms: float

    def __post_init__(self) -> None:
        """Check the ranges; raises `OptionError`."""
        require_one_of("engine", self.engine, get_args(EngineName))
        for name in ("detector_precision", "extractor_precision"):
            require_one_of(name, getattr(self, name), get_args(Precision))
        require_whole("threads", self.threads, 1, MOST_THREADS)
        require_number("p50_ms", self.p50_ms, 0)
        require_number("p95_ms", self.p95_ms, 0)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Profile:
        """Read a profile's file. Raises `OptionError` if it is missing or not a profile."""
        try:
            stored = read_json(path, _MAX_BYTES)
            version = stored.get("schema_version") if isinstance(stored, dict) else None
            if version != SCHEMA_VERSION:
                raise SchemaError(f"expected schema_version {SCHEMA_VERSION}, found {shown(version)}")
            return build(cls, stored)
        except OSError as error:
            raise OptionError(f"{path}: {error.strerror}; write a profile with `shitu-edge tune`") from error
        except ValueError as error:
            raise OptionError(f"{path}: is not a profile: {error}") from error

    def write(self, path: Path) -> None:
        """Write it as JSON, atomically; raises `OSError`."""
        write_aside(path, (json.dumps(asdict(self), indent=2) + "\n").encode())

    def complete(
        self, engine: EngineName, precision: str | tuple[str, str] | None, threads: int | None
    ) -> tuple[EngineName, str | tuple[str, str], int]:
        """Return engine, precisions and threads: those given, else the profile's."""
        return (
            self.engine if engine == "auto" else engine,
            precision or (self.detector_precision, self.extractor_precision),
            threads or self.threads,
        )

    def require(self, bundle: Bundle) -> None:
        """Check that it is for this bundle. Raises `OptionError` if it is for another."""
        if bundle.digest != self.bundle_digest:
            raise OptionError(
                f"the profile is for the bundle {self.bundle} ({self.bundle_digest[:12]}), not for "
                f"{bundle.manifest.name} ({bundle.digest[:12]}); run `shitu-edge tune` with this bundle"
            )
