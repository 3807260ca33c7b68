"""Hosts, origins and scopes: which requests are answered at all.

A page in a browser on the same machine can send requests to loopback. So requests with a foreign `Host` (a rebound DNS
name) or from a foreign page are refused, and whatever changes something needs a token. No answer has a CORS header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .answers import RefusedError
from .configuration import Configuration
from .tokens import SCOPES, Scope, Token, Tokens

NOBODY = ""
"""Name of a caller without a token."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules.

    Attributes:
        hosts: names in `Host` that are answered, without ports.
        origins: pages that may call, such as `https://till.example`, besides those of this server.
        tokens: by which callers are known.
        needs_token: also to recognize.
    """

    hosts: frozenset[str]
    origins: frozenset[str]
    tokens: Tokens
    needs_token: bool

    @classmethod
    def of(cls, configuration: Configuration, tokens: Tokens) -> Access:
        """Return the rules of a configuration."""
        origins = frozenset(map(str.lower, configuration.origins))
        return cls(configuration.allowed_hosts, origins, tokens, configuration.needs_token)

    def require_place(self, headers: Mapping[str, str], scheme: str) -> None:
        """Check where a request is sent to, and which page it comes from.

        Raises:
            RefusedError: 400 without a host, 403 for a foreign host, origin or site.
        """
        host = headers.get("host", "")
        if not host:
            raise RefusedError(400, "RequestError", "expected a header Host")
        if _name(host) not in self.hosts:
            raise RefusedError(
                403, "AccessError", f"host {host[:100]!r} is not one of this server; --hosts adds its names"
            )
        origin = headers.get("origin")
        if origin is not None:
            own = f"{scheme}://{host}".lower()
            if origin.lower() != own and origin.lower() not in self.origins:
                raise RefusedError(403, "AccessError", f"origin {origin[:100]!r} may not call; --origins adds pages")
        elif headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise RefusedError(403, "AccessError", "a page of another site may not call")

    def require_scope(self, headers: Mapping[str, str], scope: Scope) -> str:
        """Return the name of the caller's token, `NOBODY` if none is needed and none was sent.

        Raises:
            RefusedError: 401 without a valid token, 403 if it does not allow this.
        """
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if not scheme:
            if scope == SCOPES[0] and not self.needs_token:
                return NOBODY
            raise RefusedError(
                401, "AccessError", f"expected a token with the scope {scope}: Authorization: Bearer TOKEN"
            )
        token = self._find(scheme, secret)
        if token is None:
            raise RefusedError(401, "AccessError", "the token is not known here, or was replaced")
        if not token.allows(scope):
            raise RefusedError(403, "AccessError", f"expected a token with the scope {scope}, found {token.scope}")
        return token.name

    def _find(self, scheme: str, secret: str) -> Token | None:
        return self.tokens.find(secret.strip()) if scheme.lower() == "bearer" else None


def _name(host: str) -> str:
    """Return the name in a `Host` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()
