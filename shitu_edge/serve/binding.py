"""The listening socket, and connections with a limit on how long a request's head may take."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import OptionError
from .configuration import Configuration

HEAD_TIMEOUT_S = 10.0
"""A connection that has not sent a whole head of a request by then is closed."""
KEEP_ALIVE_S = 60
STOP_WITHIN_S = 10
"""Seconds that answers may take after the server was told to stop."""

_BACKLOG = 128


class Connection(H11Protocol):
    """A connection; uvicorn itself waits forever for the first head."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "cut": transport.abort}  # for readers of events who do not read
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._close_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _close_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


def listen(configuration: Configuration) -> socket.socket:
    """Return the listening socket.

    Raises:
        OptionError: the host or port cannot be had.
    """
    host, port = configuration.host, configuration.port
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        found = socket.socket(family, kind, protocol)  # asyncio turns Nagle off for TCP by name
    except OSError as error:
        raise OptionError(f"host {host}: {error.strerror or error}") from error
    try:
        if os.name == "posix":  # on Windows, others could listen at the same port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise OptionError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from error
    return found


def address_of(listening: socket.socket, configuration: Configuration) -> str:
    """Return the address of a listening socket, as a URL."""
    host, port = listening.getsockname()[:2]
    return f"{configuration.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def settings(app: Any, configuration: Configuration) -> Config:
    """Return uvicorn's settings: HTTP/1.1 alone, no log of its own, no trust in proxies' headers.

    Raises:
        OptionError: certificate or key cannot be used.
    """
    config = Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=configuration.max_connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        ssl_certfile=configuration.tls_cert,
        ssl_keyfile=configuration.tls_key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise OptionError(
            f"tls_cert {configuration.tls_cert}, tls_key {configuration.tls_key}: {error.strerror or error}"
        ) from error
    return config


def renew_certificate(config: Config, configuration: Configuration) -> None:
    """Use certificate and key as they are now for further connections; raises `OptionError`."""
    if config.ssl is not None and configuration.tls_cert is not None:
        try:
            config.ssl.load_cert_chain(configuration.tls_cert, configuration.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise OptionError(f"tls_cert {configuration.tls_cert}: {error.strerror or error}") from error
