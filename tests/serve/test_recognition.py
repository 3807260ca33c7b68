"""Recognize, verify and search over HTTP answer as the library does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shitu_edge import Recognizer
from tests.test_recognizer import BLUE, GREEN, RED, product, scene

from .client import png
from .conftest import Serving

COUNTER = png(scene((1, 1, RED), (5, 4, GREEN), (2, 6, BLUE)))


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path, shop: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle, shop) as opened:
        yield opened


def test_recognize_answers_as_the_library_does(shared_server: Serving, recognizer: Recognizer) -> None:
    answer = shared_server.client.send("/v1/recognize", COUNTER)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    found = answer.json
    assert next(iter(found)) == "schema_version"
    assert (found.pop("schema_version"), found.pop("retried"), found.pop("explanation")) == (1, None, None)
    expected = recognizer.recognize(COUNTER).as_dict()
    assert [item["label"] for item in found["items"]].count("red") == 1
    assert found.keys() == expected.keys()
    for key in ("items", "dropped", "width", "height", "made_by", "threshold", "hint"):
        assert found[key] == _listed(expected[key]), key


@pytest.mark.parametrize(
    "query",
    [
        {"max_boxes": 1},
        {"threshold": 0.999, "margin": 0.5, "neighbors": 1},
        {"vote": "true", "whole_image": "never", "suppression_iou": 0.1},
        {"detection_threshold": 0.9, "decode_mode": "exact"},
    ],
)
def test_recognize_takes_the_options_of_the_library(
    shared_server: Serving, recognizer: Recognizer, query: dict[str, Any]
) -> None:
    found = shared_server.client.send("/v1/recognize", COUNTER, **query).json
    options: dict[str, object] = {name: True if value == "true" else value for name, value in query.items()}
    expected = recognizer.recognize(COUNTER, **options).as_dict()  # type: ignore[arg-type]
    assert (found["items"], found["dropped"]) == (_listed(expected["items"]), _listed(expected["dropped"]))


def test_recognize_explains_on_demand(shared_server: Serving, recognizer: Recognizer) -> None:
    found = shared_server.client.send("/v1/recognize", COUNTER, explain="true").json
    assert found["explanation"] == list(recognizer.recognize(COUNTER).explain())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"max_boxes": 0}, "max_boxes: expected a number of at least 1, found 0"),
        ({"threshold": "high"}, "threshold: expected a finite number, found 'high'"),
        ({"vote": "1"}, "vote: expected true or false, found '1'"),
        ({"whole_image": "some"}, "whole_image: expected one of"),
        ({"colour": "red"}, "colour: unknown; expected one of max_boxes,"),
        ({"threshold": 0.5, "max_false_accept": 0.1}, "either a threshold or max_false_accept"),
    ],
)
def test_recognize_refuses_wrong_options_by_name(shared_server: Serving, query: dict[str, Any], says: str) -> None:
    answer = shared_server.client.send("/v1/recognize", COUNTER, **query)
    assert (answer.status, answer.error) == (422, "OptionError")
    assert says in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("image", "kind", "status", "error"),
    [
        (b"not an image", "image/png", 422, "ImageError"),
        (b"", "image/png", 422, "ImageError"),
        (COUNTER[:-100], "image/png", 422, "ImageError"),
        (COUNTER, "text/plain", 415, "RequestError"),
        (COUNTER, "multipart/form-data; boundary=x", 415, "RequestError"),
    ],
)
def test_recognize_refuses_what_is_not_an_image(
    shared_server: Serving, image: bytes, kind: str, status: int, error: str
) -> None:
    answer = shared_server.client.send("/v1/recognize", image, kind=kind)
    assert (answer.status, answer.error) == (status, error)
    assert "\n" not in answer.json["error"]["message"]


def test_recognize_refuses_a_compressed_body(shared_server: Serving) -> None:
    answer = shared_server.client.send("/v1/recognize", COUNTER, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.error) == (415, "RequestError")


def test_recognize_takes_a_body_in_chunks(shared_server: Serving) -> None:
    connection = shared_server.client.connect()
    pieces = (COUNTER[at : at + 100] for at in range(0, len(COUNTER), 100))
    connection.request("POST", "/v1/recognize", pieces, {"Content-Type": "image/png"}, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("deadline", ["soon", "-1", "0", "nan", "inf"])
def test_deadline_is_a_positive_number(shared_server: Serving, deadline: str) -> None:
    answer = shared_server.client.send("/v1/recognize", COUNTER, headers={"Deadline-Ms": deadline})
    assert (answer.status, answer.error) == (422, "OptionError")


def test_recognize_keeps_a_generous_deadline(shared_server: Serving) -> None:
    found = shared_server.client.send("/v1/recognize", COUNTER, headers={"Deadline-Ms": "60000"}).json
    assert not [box for box in found["dropped"] if box["reason"] == "deadline"]


def test_verify_answers_as_the_library_does(shared_server: Serving, recognizer: Recognizer) -> None:
    image = png(product(RED))
    for label in ("red", "grün"):
        found = shared_server.client.send("/v1/verify", image, label=label, crop="false").json
        expected = recognizer.verify(label, image, crop=False)
        assert (found["label"], found["decision"]) == (label, expected.decision)
        assert found["similarity"] == pytest.approx(expected.similarity)


def test_verify_answers_404_for_an_unknown_label(shared_server: Serving) -> None:
    answer = shared_server.client.send("/v1/verify", png(product(RED)), label="blue")
    assert (answer.status, answer.error) == (404, "NotFoundError")


def test_verify_takes_a_box(shared_server: Serving, recognizer: Recognizer) -> None:
    box = (16.0, 16.0, 80.0, 80.0)
    found = shared_server.client.send("/v1/verify", COUNTER, label="red", box=",".join(map(str, box))).json
    assert found["similarity"] == pytest.approx(recognizer.verify("red", COUNTER, box).similarity)
    for wrong in ("1,2,3", "a,b,c,d", "5000,5000,6000,6000"):
        assert shared_server.client.send("/v1/verify", COUNTER, label="red", box=wrong).status == 422


def test_search_lists_the_nearest_items(shared_server: Serving, recognizer: Recognizer) -> None:
    image = png(product(GREEN))
    found = shared_server.client.send("/v1/search", image, k=1, crop="false").json["matches"]
    [expected] = recognizer.nearest(image, k=1)
    assert [(one["item_id"], one["label"]) for one in found] == [(one.item_id, one.label) for one in expected]
    assert found[0]["label"] == "grün"


def _listed(value: object) -> object:
    """Return tuples as JSON has them."""
    if isinstance(value, (list, tuple)):
        return [_listed(one) for one in value]
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return value
