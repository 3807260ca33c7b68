"""Telling systemd what the server does, if it asks by `$NOTIFY_SOCKET` (`Type=notify`)."""

from __future__ import annotations

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def tell(state: str) -> bool:
    """Send a state such as `READY=1`; return whether systemd asked for it and it was sent."""
    address = os.environ.get(VARIABLE, "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return False
    name = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), name)
    except OSError:
        return False
    return True
