"""Changing the gallery over HTTP, alone and with a local layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from shitu_edge import NEGATIVE, Gallery, Recognizer
from tests.test_recognizer import BLUE, RED, product, scene

from .client import png
from .conftest import Serve, Serving

BLUE_THING = png(product(BLUE))


def _labels_of(answer: dict[str, list[dict[str, object]]]) -> list[object]:
    return [item["label"] for item in answer["items"]]


def test_enroll_counts_from_the_next_request_on(serve: Serve) -> None:
    client = serve().client
    added = client.send(
        "/v1/enroll", BLUE_THING, token="enroll", label=" blue ", crop="false", note="new", source="till 3"
    )
    assert added.status == 200
    assert added.json == {"schema_version": 1, "item_id": 3, "label": "blue", "revision": 4, "retried": None}
    found = client.send("/v1/recognize", png(scene((2, 2, BLUE)))).json
    assert _labels_of(found) == ["blue"]
    assert found["made_by"]["gallery_revision"] == 4
    [newest] = client.get("/v1/log", most=1).json["revisions"]
    assert (newest["id"], newest["author"], newest["note"]) == (4, "enroll", "new")
    items = client.get("/v1/items", label="blue").json
    assert items == {"schema_version": 1, "items": [{"id": 3, "label": "blue", "source": "till 3"}], "total": 1}


def test_enroll_takes_a_box(serve: Serve) -> None:
    client = serve().client
    image = png(scene((2, 2, BLUE), (5, 5, RED)))
    assert client.send("/v1/enroll", image, token="enroll", label="blue", box="48,48,112,112").status == 200
    assert _labels_of(client.send("/v1/recognize", png(scene((2, 2, BLUE)))).json) == ["blue"]


def test_negative_makes_a_thing_unknown(serve: Serve) -> None:
    client = serve().client
    added = client.send("/v1/negative", png(scene((1, 1, RED))), token="enroll", box="16,16,80,80")
    assert added.json["label"] == NEGATIVE
    assert client.get("/v1/labels").json["labels"] == {"red": 1, "grün": 1, NEGATIVE: 1}


@pytest.mark.parametrize("label", ["", "  ", "two\nlines", "x" * 201])
def test_enroll_refuses_what_is_not_a_label(shared_server: Serving, label: str) -> None:
    answer = shared_server.client.send("/v1/enroll", BLUE_THING, token="enroll", label=label)
    assert (answer.status, answer.error) == (422, "GalleryError")


def test_remove_by_id_label_and_source(serve: Serve) -> None:
    client = serve().client
    answer = client.post("/v1/remove", {"ids": [1], "note": "sold out"}, token="manage")
    assert answer.json["items"] == [{"id": 1, "label": "red", "source": ""}]
    assert client.get("/v1/labels").json["labels"] == {"grün": 1}
    client.send("/v1/enroll", BLUE_THING, token="enroll", label="blue", source="here")
    assert client.post("/v1/remove", {"label": "blue", "source": "there"}, token="manage").status == 404
    assert client.post("/v1/remove", {"source": "here"}, token="manage").status == 200
    assert client.post("/v1/remove", {"label": "grün"}, token="manage").status == 200
    assert client.get("/v1/items").json["total"] == 0


@pytest.mark.parametrize(
    ("record", "status"),
    [
        ({}, 422),
        ({"ids": [1], "label": "red"}, 422),
        ({"ids": [99]}, 404),
        ({"ids": []}, 404),
        ({"ids": ["1"]}, 422),
        ({"label": "nothing"}, 404),
        ({"everything": True}, 422),
        ([1], 422),
    ],
)
def test_remove_refuses_what_it_cannot_find(shared_server: Serving, record: object, status: int) -> None:
    client = shared_server.client
    assert client.post("/v1/remove", record, token="manage").status == status
    assert client.get("/v1/items").json["total"] == 2


def test_rename_and_merge(serve: Serve) -> None:
    client = serve().client
    assert client.post("/v1/rename", {"label": "red", "new_label": "rot"}, token="manage").status == 200
    assert client.post("/v1/rename", {"label": "red", "new_label": "rot"}, token="manage").status == 404
    assert client.post("/v1/rename", {"label": "rot", "new_label": "rot"}, token="manage").status == 409
    assert client.post("/v1/rename", {"label": "rot", "new_label": "grün"}, token="manage").status == 409
    assert client.post("/v1/rename", {"label": "rot", "new_label": "grün", "merge": True}, token="manage").status == 200
    assert client.get("/v1/labels").json["labels"] == {"grün": 2}


def test_rollback_brings_a_revision_back(serve: Serve) -> None:
    client = serve().client
    client.post("/v1/remove", {"label": "red"}, token="manage")
    assert client.post("/v1/rollback", {"revision": 3}, token="manage").json["revision"] == 5
    assert client.get("/v1/labels").json["labels"] == {"red": 1, "grün": 1}
    assert client.post("/v1/rollback", {"revision": 99}, token="manage").status == 404
    assert client.post("/v1/rollback", {"revision": 0}, token="manage").status == 404


def test_rollback_to_a_pruned_revision_is_a_conflict(serve: Serve) -> None:
    serving = serve()
    serving.client.post("/v1/remove", {"label": "red"}, token="manage")
    with Gallery.open(serving.given["gallery"]) as gallery:
        gallery.history.prune(0)
    answer = serving.client.post("/v1/rollback", {"revision": 2}, token="manage")
    assert (answer.status, answer.error) == (409, "GalleryError")


def test_changes_go_to_the_local_layer(serve: Serve, tmp_path: Path) -> None:
    serving = serve(local=str(tmp_path / "till.gallery"))
    client = serving.client
    added = client.send("/v1/enroll", BLUE_THING, token="enroll", label="blue", crop="false").json
    assert added["item_id"] == -1
    items = {item["id"]: item["label"] for item in client.get("/v1/items").json["items"]}
    assert items == {1: "red", 2: "grün", -1: "blue"}
    assert client.get("/v1/labels").json["labels"] == {"red": 1, "grün": 1, "blue": 1}
    shown = client.get("/v1/gallery").json
    assert (shown["gallery"]["revision"], shown["local"]["items"]) == (3, 1)
    [match] = client.send("/v1/search", BLUE_THING, k=1, crop="false").json["matches"]
    assert match["item_id"] == -1
    assert client.post("/v1/remove", {"ids": [1]}, token="manage").status == 404
    assert client.post("/v1/rename", {"label": "red", "new_label": "rot"}, token="manage").status == 404
    assert client.post("/v1/remove", {"ids": [-1]}, token="manage").json["items"][0]["id"] == -1
    with Recognizer.open(serving.given["models"], serving.given["gallery"]) as central:
        assert central.gallery.revision == 3
