"""Network drives, on which SQLite fails: processes of different machines share no memory for its log's index."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

_log = logging.getLogger(__name__)

_MOUNTS = Path("/proc/self/mountinfo")
_OVER_A_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs"}


def warn_of_network_drive(path: Path) -> None:
    """Warn, once per drive, if a gallery lies on a network drive, as far as can be told."""
    kind = "a share" if path.drive.startswith("\\\\") else _kind_of(path.stat().st_dev)
    if kind:
        _warn(str(path.parent), kind)


@cache
def _warn(folder: str, kind: str) -> None:
    _log.warning(
        "%s: is on a network drive (%s): two machines that use a gallery there can damage it; copy it to each",
        folder,
        kind,
    )


@cache
def _kind_of(device: int) -> str | None:
    """Return the kind of network drive a device is; None if it is not one or cannot be told."""
    try:
        mounts = _MOUNTS.read_text(errors="replace").splitlines()
        name = f"{os.major(device)}:{os.minor(device)}"
    except (OSError, AttributeError):  # only Linux has it; Windows has no device numbers
        return None
    for mount in mounts:
        place, _, drive = mount.partition(" - ")
        if place.split()[2:3] == [name] and drive.split()[:1]:
            return drive.split()[0] if drive.split()[0] in _OVER_A_NETWORK else None
    return None
