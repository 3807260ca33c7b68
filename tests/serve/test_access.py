"""Foreign hosts, pages and tokens are refused, on loopback too."""

from __future__ import annotations

import pytest

from tests.test_recognizer import BLUE, product

from .client import png
from .conftest import Serve, Serving

IMAGE = png(product(BLUE))
CHANGES = [
    ("POST", "/v1/enroll", "enroll"),
    ("POST", "/v1/negative", "enroll"),
    ("POST", "/v1/remove", "manage"),
    ("POST", "/v1/rename", "manage"),
    ("POST", "/v1/rollback", "manage"),
    ("POST", "/v1/reload", "manage"),
]
LOOKS = ["/v1/labels", "/v1/items", "/v1/log", "/v1/gallery", "/v1/calibration", "/metrics"]
OPEN = ["/healthz", "/readyz", "/openapi.json"]


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:8484", "127.0.0.1.example", "[::2]:80", "::"])
def test_foreign_host_is_refused(shared_server: Serving, host: str) -> None:
    for path in (*OPEN, *LOOKS):
        answer = shared_server.client.get(path, headers={"Host": host})
        assert (answer.status, answer.error) == (403, "AccessError"), path


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8484"])
def test_own_hosts_are_answered(shared_server: Serving, host: str) -> None:
    assert shared_server.client.get("/healthz", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_foreign_page_is_refused_even_with_a_token(shared_server: Serving, headers: dict[str, str]) -> None:
    answer = shared_server.client.send("/v1/enroll", IMAGE, token="manage", label="x", headers=headers)
    assert (answer.status, answer.error) == (403, "AccessError")
    assert shared_server.client.get("/v1/items").json["total"] == 2


def test_own_page_and_named_pages_are_answered(serve: Serve) -> None:
    client = serve(origins=["https://till.example"]).client
    for origin in (client.address, "https://till.example", "HTTPS://TILL.example"):
        assert client.get("/v1/labels", headers={"Origin": origin}).status == 200


def test_no_answer_has_a_cors_header(shared_server: Serving) -> None:
    client = shared_server.client
    preflight = {"Origin": client.address, "Access-Control-Request-Method": "POST"}
    answers = [client.get("/v1/labels", headers={"Origin": client.address})]
    answers += [client.ask("OPTIONS", "/v1/enroll", headers=headers) for headers in (preflight, {})]
    assert [answer.status for answer in answers] == [200, 405, 405]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(("method", "path", "scope"), CHANGES)
def test_changes_need_a_token_of_their_scope(shared_server: Serving, method: str, path: str, scope: str) -> None:
    ask = shared_server.client.ask
    without = ask(method, path)
    assert (without.status, without.error) == (401, "AccessError")
    assert without.headers["www-authenticate"].startswith("Bearer")
    assert ask(method, path, token="not a token of this server at all").status == 401
    lower = {"enroll": "recognize", "manage": "enroll"}[scope]
    assert (ask(method, path, token=lower).status, ask(method, path, token=lower).error) == (403, "AccessError")
    assert ask(method, path, token=scope).status in (200, 415, 422)


def test_a_token_in_the_query_or_in_another_scheme_does_not_count(shared_server: Serving) -> None:
    client, secret = shared_server.client, shared_server.client.tokens["manage"]
    assert client.send("/v1/enroll", IMAGE, label="x", token_=secret).status == 401
    basic = {"Authorization": f"Basic {secret}"}
    assert client.send("/v1/enroll", IMAGE, label="x", headers=basic).status == 401


def test_require_token_asks_for_one_to_look(serve: Serve) -> None:
    client = serve(require_token=True).client
    for path in LOOKS:
        assert client.get(path).status == 401, path
        assert client.get(path, token="recognize").status == 200, path
    for path in OPEN:
        assert client.get(path).status == 200, path
    assert client.send("/v1/recognize", IMAGE).status == 401
    assert client.send("/v1/recognize", IMAGE, token="recognize").status == 200


def test_replaced_token_is_refused_after_a_reload(serve: Serve) -> None:
    serving = serve()
    old = serving.client.tokens["manage"]
    (serving.service.folders.state / "tokens" / "manage").unlink()
    assert serving.client.ask("POST", "/v1/reload", token=old).status == 200
    answer = serving.client.ask("POST", "/v1/reload", token=old)
    assert (answer.status, answer.error) == (401, "AccessError")
    new = (serving.service.folders.state / "tokens" / "manage").read_text().strip()
    assert serving.client.ask("POST", "/v1/reload", token=new).status == 200


def test_answers_name_no_secret(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "shitu_edge")
    client = serve().client
    client.send("/v1/enroll", IMAGE, token="enroll", label="blue")
    client.post("/v1/remove", {"label": "blue"}, token="manage")
    client.ask("POST", "/v1/reload", token="wrong")
    assert "POST /v1/enroll 200" in caplog.text
    assert not [secret for secret in (*client.tokens.values(), "wrong") if secret in caplog.text]
