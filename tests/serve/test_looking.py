"""Looking into the gallery over HTTP."""

from __future__ import annotations

from .conftest import Serving


def test_items_come_a_page_at_a_time(shared_server: Serving) -> None:
    client = shared_server.client
    pages = [client.get("/v1/items", most=1, skip=skip).json for skip in (0, 1, 2)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [[1], [2], []]
    assert {page["total"] for page in pages} == {2}


def test_gallery_and_calibration_are_shown(shared_server: Serving) -> None:
    serving = shared_server
    shown = serving.client.get("/v1/gallery").json
    assert (shown["gallery"]["items"], shown["gallery"]["path"], shown["local"]) == (2, serving.given["gallery"], None)
    assert serving.client.get("/v1/calibration").json["calibration"] is None
    stated = serving.client.get("/v1/calibration", max_false_accept=0.1).json["calibration"]
    assert (stated["state"], stated["max_false_accept"]) == ("uncalibrated", 0.1)
