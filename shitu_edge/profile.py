"""A profile: the engine, precisions and threads with which a bundle is fastest on a machine, as measured there."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .bundle import Bundle, Precision
from .engines import EngineName
from .errors import OptionError
from .schema import SchemaError, build

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Profile:
    """What `shitu-edge tune` found, and what `Recognizer.open` takes where it is told nothing else.

    Attributes:
        bundle, bundle_digest: what it was measured with, and is for.
        cpu: the processor it was measured on.
        engine, detector_precision, extractor_precision, threads: as of `Recognizer.open`.
        p50_ms, p95_ms: milliseconds a picture with these.
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

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Profile:
        """Read a profile's file.

        Raises:
            OptionError: it is missing or no profile.
        """
        try:
            profile = build(cls, json.loads(Path(path).read_bytes()))
        except OSError as error:
            raise OptionError(f"{path}: {error.strerror}; `shitu-edge tune` writes a profile") from error
        except (SchemaError, ValueError) as error:
            raise OptionError(f"{path}: is not a profile: {error}") from error
        if profile.schema_version != SCHEMA_VERSION or profile.threads < 1:
            raise OptionError(f"{path}: is not a profile of version {SCHEMA_VERSION}")
        return profile

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def complete(
        self, engine: EngineName, precision: str | tuple[str, str] | None, threads: int | None
    ) -> tuple[EngineName, str | tuple[str, str], int]:
        """Return engine, precisions and threads: what was named and, where that leaves it open, the profile's."""
        return (
            self.engine if engine == "auto" else engine,
            precision or (self.detector_precision, self.extractor_precision),
            threads or self.threads,
        )

    def require(self, bundle: Bundle) -> None:
        """Check that it is for a bundle.

        Raises:
            OptionError: it is for another one.
        """
        if bundle.digest != self.bundle_digest:
            raise OptionError(
                f"the profile is for another bundle, {self.bundle} ({self.bundle_digest[:12]}), and not for "
                f"{bundle.manifest.name} ({bundle.digest[:12]}); `shitu-edge tune` makes a new one"
            )
