"""The description is true: schemathesis asks by it, and finds no 5xx and no answer that it does not describe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.serve.app import OPERATIONS

from .conftest import Serving, running

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@pytest.fixture(scope="module")
def document(shared_server: Serving) -> dict[str, Any]:
    found: dict[str, Any] = shared_server.client.get("/openapi.json").json
    return found


def test_every_route_is_described(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(one.method, one.path) for one in OPERATIONS}
    names = [one.name for one in OPERATIONS]
    assert len(set(names)) == len(names)


def test_the_page_names_every_endpoint_and_status(document: dict[str, Any]) -> None:
    page = Path(__file__).parents[2] / "docs" / "serve.md"
    if not page.exists():
        pytest.skip("the manual is in the checkout alone")
    text = page.read_text(encoding="utf-8")
    scopes = {(one.method, one.path): one.scope or "none" for one in OPERATIONS}
    rows = [line.split(" | ") for line in text.splitlines() if re.match(r"\| `(GET|POST|DELETE) /", line)]
    named = {
        tuple(call.partition("?")[0].split()): row[1]
        for row in rows
        for call in re.findall(r"`([A-Z]+ [^`]+)`", row[0])
    }
    assert named == scopes
    answers = [methods[method]["responses"] for methods in document["paths"].values() for method in methods]
    statuses = {status for responses in answers for status in responses} - {"200"}
    assert [status for status in statuses if not re.search(rf"^\| [0-9, ]*{status}", text, re.MULTILINE)] == []


def test_unknown_paths_and_methods_are_json(shared_server: Serving) -> None:
    for method, path, status in (("GET", "/nope", 404), ("GET", "/v1/recognize", 405), ("DELETE", "/healthz", 405)):
        answer = shared_server.client.ask(method, path)
        assert (answer.status, set(answer.json)) == (status, {"schema_version", "error"})
    assert shared_server.client.ask("GET", "/v1/recognize").headers["allow"] == "POST"


def test_head_and_unreadable_queries(shared_server: Serving) -> None:
    assert shared_server.client.ask("HEAD", "/healthz").content == b""
    connection = shared_server.client.connect()
    for query in ("label=%ff", "label=a&label=b", "&".join(f"p{number}=1" for number in range(99))):
        connection.request("GET", f"/v1/items?{query}")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["error"]["kind"]) == (422, "OptionError")
    connection.close()


def test_no_page_of_the_server_loads_anything(document: dict[str, Any], shared_server: Serving) -> None:
    for path in ("/docs", "/redoc", "/"):
        assert shared_server.client.get(path).status == 404
    assert not re.findall(r"https?://", str(document))


@pytest.fixture(scope="module")
def fuzzed(tiny_bundle: Path, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The schema of a server whose gallery may be changed at will."""
    import shutil

    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copy(shop, folder)
    given = {"gallery": str(folder / shop.name), "models": str(tiny_bundle), "port": 0, "state": str(folder / "state")}
    with running(given) as serving:
        schema = schemathesis.openapi.from_url(f"{serving.client.address}/openapi.json")
        yield schema, serving


@pytest.mark.parametrize("operation", [one.name for one in OPERATIONS if one.name != "read_events"])
def test_answers_are_those_described(fuzzed: tuple[Any, Serving], operation: str) -> None:
    from hypothesis import HealthCheck, given, settings
    from schemathesis import checks

    schema, serving = fuzzed
    [found] = [one.ok() for one in schema.get_all_operations() if one.ok().definition.raw["operationId"] == operation]
    wanted = [
        checks.CHECKS.get_one("status_code_conformance"),
        checks.CHECKS.get_one("content_type_conformance"),
        checks.CHECKS.get_one("response_schema_conformance"),
    ]

    @given(case=found.as_strategy())
    @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {serving.client.tokens['manage']}"})
        too_late = response.status_code == 503 and response.json()["error"]["kind"] == "BusyError"
        assert response.status_code < 500 or too_late, response.text
        case.validate_response(response, checks=wanted)

    ask()
