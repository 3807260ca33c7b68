"""Folders for state, cache and log."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ..bundle.networks import cache_folder
from ..errors import OptionError, os_errors_as
from .configuration import Configuration


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the server keeps tokens (`state`), compiled models (`cache`) and its log; None for none."""

    state: Path
    cache: Path | None
    log: Path | None

    @classmethod
    def of(cls, configuration: Configuration) -> Folders:
        """Return the folders, and make those for state and log.

        Raises:
            OptionError: one cannot be made, or there is no home folder to put the state into.
        """
        state = Path(configuration.state) if configuration.state else _user_state()
        log = Path(configuration.log) if configuration.log else None
        for folder in (state, log):
            if folder is not None:
                with os_errors_as(OptionError, folder, "cannot be made"):
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(state, cache_folder(configuration.cache), log)


def _user_state() -> Path:
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError as error:
        raise OptionError("state: expected a folder, as this user has no home folder for it") from error
    return base / "shitu-edge"
