"""Who may call: one file per token in the state folder, readable by its owner alone."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import OptionError, os_errors_as
from ..system.files import read_bounded

Scope = Literal["recognize", "enroll", "manage"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each includes those before it."""

_MOST_BYTES = 4096
_LEAST_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Token:
    """A secret, the name of its file, and what it allows."""

    name: str
    scope: Scope
    secret: bytes

    def allows(self, scope: Scope) -> bool:
        """Return whether it allows what `scope` stands for."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


class Tokens:
    """The tokens of a folder: `recognize`, `enroll` and `manage`, made if missing, and any `NAME.SCOPE`."""

    def __init__(self, folder: Path) -> None:
        """Read the tokens.

        Raises:
            OptionError: the folder or a token cannot be read or made, is too short, or others may read it.
        """
        self.folder = folder
        with os_errors_as(OptionError, folder, "cannot be made"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for scope in SCOPES:
            _make(folder / scope)
        with os_errors_as(OptionError, folder):
            paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        self._tokens = [_read(path) for path in paths]

    def find(self, secret: str) -> Token | None:
        """Return the token with this secret, None if there is none; takes the same time for every wrong one."""
        given = secret.encode()
        found = [token for token in self._tokens if hmac.compare_digest(token.secret, given)]
        return found[-1] if found else None


def _make(path: Path) -> None:
    try:
        with os_errors_as(OptionError, path, "cannot be made"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OptionError as error:
        if isinstance(error.__cause__, FileExistsError):
            return
        raise
    with os_errors_as(OptionError, path, "cannot be written"), os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{secrets.token_urlsafe(32)}\n")


def _read(path: Path) -> Token:
    name, _, scope = path.name.rpartition(".")
    if scope not in SCOPES:
        raise OptionError(f"{path}: expected {', '.join(SCOPES)} or NAME.SCOPE as the name of a token")
    with os_errors_as(OptionError, path):
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise OptionError(f"{path}: others may read this token; chmod 600 it")
        secret = read_bounded(path, _MOST_BYTES).strip()
    if len(secret) < _LEAST_CHARACTERS or not secret.isascii():
        raise OptionError(
            f"{path}: expected a token of at least {_LEAST_CHARACTERS} ASCII characters; delete it for a new one"
        )
    return Token(name or scope, scope, secret)
