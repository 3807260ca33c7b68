"""Drives over a network: the index of SQLite's log is memory, which processes of different machines do not share."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

_log = logging.getLogger(__name__)

_MOUNTS = Path("/proc/self/mountinfo")
_OVER_A_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs"}


def warn_of_network_drive(path: Path) -> None:
    """Warn, once for each drive, where a gallery lies on one that is shared over a network, as far as can be told."""
    kind = "a share" if path.drive.startswith("\\\\") else _kind_of(path.stat().st_dev)
    if kind:
        _warn(str(path.parent), kind)


@cache
def _warn(folder: str, kind: str) -> None:
    _log.warning(
        "%s: is on a network drive (%s), where a gallery may be damaged when two machines use it; copy it to each",
        folder,
        kind,
    )


@cache
def _kind_of(device: int) -> str | None:
    """Return which kind of network drive a device is, None where it is none, or cannot be told."""
    try:
        mounts = _MOUNTS.read_text(errors="replace").splitlines()
        name = f"{os.major(device)}:{os.minor(device)}"
    except (OSError, AttributeError):  # Linux alone has it; Windows has no numbers of devices
        return None
    for mount in mounts:
        place, _, drive = mount.partition(" - ")
        if place.split()[2:3] == [name] and drive.split()[:1]:
            return drive.split()[0] if drive.split()[0] in _OVER_A_NETWORK else None
    return None
