"""A client for tests: one request per call, JSON back."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers with lower-case names, and body."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> str:
        """The kind of the error."""
        kind = self.json["error"]["kind"]
        assert isinstance(kind, str)
        return kind


@dataclass
class Client:
    """Asks a server; `tokens` by scope."""

    address: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def connect(self) -> HTTPConnection:
        """Return a connection to the server."""
        place = urlsplit(self.address)
        assert place.hostname
        if self.tls is None:
            return HTTPConnection(place.hostname, place.port, timeout=TIMEOUT_S)
        return HTTPSConnection(place.hostname, place.port, timeout=TIMEOUT_S, context=self.tls)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        **query: object,
    ) -> Answer:
        """Return the answer; `token` is a scope whose token is sent."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        connection = self.connect()
        try:
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **more: Any) -> Answer:
        """GET."""
        return self.ask("GET", path, **more)

    def send(self, path: str, image: bytes, *, kind: str = "image/png", headers: Any = None, **more: Any) -> Answer:
        """POST an image."""
        return self.ask("POST", path, image, headers={"Content-Type": kind, **(headers or {})}, **more)

    def post(self, path: str, record: Any, **more: Any) -> Answer:
        """POST JSON."""
        return self.ask("POST", path, json.dumps(record).encode(), headers={"Content-Type": "application/json"}, **more)


def png(pixels_rgb: NDArray[np.uint8]) -> bytes:
    """Return pixels as a PNG."""
    stream = BytesIO()
    Image.fromarray(pixels_rgb).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
