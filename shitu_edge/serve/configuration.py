"""Options of `shitu-edge serve`: a TOML file, the environment, flags. Later ones override earlier ones."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from ..engines import EngineName
from ..errors import OptionError
from ..ranges import require_number, require_threads, require_whole
from ..schema import SchemaError, build
from ..stages.second_look import LookMode
from ..system.files import read_bounded

VARIABLE = "SHITU_EDGE_SERVE_"
"""Prefix of environment variables: `SHITU_EDGE_SERVE_PORT`."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

_MOST_FILE_BYTES = 1 << 16
_PATHS = ("gallery", "local", "profile", "camera", "tls_cert", "tls_key", "golden_image", "state", "cache", "log")


@dataclass(frozen=True, slots=True)
class Configuration:
    """All options. `docs/serve.md` describes each; `shitu-edge serve --help` has the same words.

    `fixed` names those that a reload cannot change.
    """

    gallery: str | None = None
    local: str | None = None
    models: str | None = None
    engine: EngineName = "auto"
    precision: str | None = None
    threads: int | None = None
    profile: str | None = None
    second_look: LookMode = "auto"
    camera: str | None = None
    max_megapixels: int = 24
    host: str = "127.0.0.1"
    port: int = 8484
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    require_token: bool = False
    insecure: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    queue: int = 2
    deadline_ms: float | None = None
    max_body_mb: int = 16
    body_timeout_s: float = 10
    max_connections: int = 64
    max_streams: int = 8
    stream_idle_s: float = 60
    watch: tuple[str, ...] = ()
    golden_image: str | None = None
    golden_label: str | None = None
    state: str | None = None
    cache: str | None = None
    log: str | None = None
    file: str | None = field(default=None, metadata={"given": False})

    def __post_init__(self) -> None:
        """Check the ranges; raises `OptionError`."""
        require_threads(self.threads)
        require_whole("max_megapixels", self.max_megapixels, 1, 1000)
        require_whole("port", self.port, 0, 65535)
        require_whole("queue", self.queue, 1, 64)
        require_whole("max_body_mb", self.max_body_mb, 1, 64)
        require_number("body_timeout_s", self.body_timeout_s, 0.1, 600)
        require_whole("max_connections", self.max_connections, 4, 10_000)
        require_whole("max_streams", self.max_streams, 0, 256)
        require_number("stream_idle_s", self.stream_idle_s, 1, 86_400)
        if self.deadline_ms is not None:
            require_number("deadline_ms", self.deadline_ms, 1)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise OptionError("tls_cert and tls_key: expected both or neither")
        if (self.golden_label is None) != (self.golden_image is None):
            raise OptionError("golden_image and golden_label: expected both or neither")
        for camera in self.watch:
            name, separator, source = camera.partition("=")
            if not (separator and source and name and name.replace("-", "").replace("_", "").isalnum()):
                raise OptionError(f"watch: expected NAME=SOURCE, a name of letters, digits, - and _, found {camera!r}")
        if not self.is_loopback and self.tls_cert is None and not self.insecure:
            raise OptionError(
                f"host {self.host} can be reached from other machines: expected tls_cert and tls_key, or insecure to "
                "send images and tokens in the clear"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def needs_token(self) -> bool:
        """Whether recognizing needs a token too; changes always do."""
        return self.require_token or not self.is_loopback

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.tls_cert is None else "https"

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Names in the header `Host` that are answered, without ports."""
        return frozenset(map(str.lower, (*LOCAL_HOSTS, self.host, *self.hosts)))


FIXED = ("host", "port", "state", "log", "max_connections", "watch")
"""Options that hold until the server is started again."""


def option_names() -> tuple[str, ...]:
    """Return the names of all options, as the file has them."""
    return tuple(one.name for one in fields(Configuration) if one.metadata.get("given", True))


def configuration(file: str | os.PathLike[str] | None, given: Mapping[str, Any]) -> Configuration:
    """Return the options of a file, those that are given in place of its own.

    Paths in the file are relative to its folder.

    Raises:
        OptionError: the file cannot be read, or an option is unknown, of the wrong kind or out of range.
    """
    own = {} if file is None else _read(Path(file))
    values = own | {name: value for name, value in given.items() if value is not None and value != ()}
    try:
        return build(Configuration, values | {"file": None if file is None else os.fspath(Path(file).absolute())})
    except SchemaError as error:
        fault = str(error)
        raise OptionError(f"{file}: {fault}" if _fault(own) == fault else fault) from error


def _read(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file."""
    tomllib = _toml()
    try:
        values: dict[str, Any] = tomllib.loads(read_bounded(path, _MOST_FILE_BYTES).decode())
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise OptionError(f"{path}: is not TOML: {error}") from error
    values.pop("file", None)
    for name in _PATHS:
        if isinstance(values.get(name), str) and values[name]:
            values[name] = str(path.absolute().parent / values[name])
    return values


def _fault(values: Mapping[str, Any]) -> str | None:
    """Return why the values of a file would be refused without any others; None if they would not."""
    try:
        build(Configuration, values)
    except SchemaError as error:
        return str(error)
    return None


def _toml() -> Any:
    try:
        return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ModuleNotFoundError as error:
        raise OptionError("with Python 3.10, a file needs tomli: from the checkout, pip install '.[serve]'") from error
