"""Reloading: without losing a request, whole or not at all, also when the gallery's file is replaced."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from shitu_edge import GalleryError, OptionError, Recognizer
from shitu_edge.serve.configuration import Configuration
from shitu_edge.serve.opened import Opened
from tests.networks import write_bundle
from tests.test_recognizer import BLUE, RED, product, scene

from .client import png
from .conftest import WITHIN_S, Serve, Serving

RED_COUNTER = png(scene((1, 1, RED)))


def _wait(happened: object) -> None:
    assert callable(happened)
    for _ in range(WITHIN_S * 100):
        if happened():
            return
        threading.Event().wait(0.01)
    pytest.fail("did not happen in time")


def _reload(serving: Serving) -> object:
    answer = serving.client.ask("POST", "/v1/reload", token="manage")
    assert answer.status == 200, answer.content
    return answer.json


def test_reload_opens_what_the_configuration_names_now(serve: Serve, shop: Path, tmp_path: Path) -> None:
    serving = serve()
    other = tmp_path / "other.gallery"
    shutil.copy(shop, other)
    with Recognizer.open(serving.given["models"], other) as recognizer:
        recognizer.gallery.rename("red", "rot")
    serving.given |= {"gallery": str(other), "queue": 5, "port": 1}
    done = _reload(serving)
    assert isinstance(done, dict)
    assert (done["gallery_revision"], done["needs_restart"], done["check"]["right"]) == (4, ["port"], True)
    [item] = serving.client.send("/v1/recognize", RED_COUNTER).json["items"]
    assert (item["label"], serving.service.recognizing.most) == ("rot", 5)
    assert 'shitu_edge_reloads_total{outcome="done"} 1.0' in serving.client.get("/metrics").content.decode()


def test_reload_opens_another_bundle(serve: Serve, tmp_path: Path) -> None:
    serving = serve()
    write_bundle(tmp_path / "next", name="next")
    serving.given["models"] = str(tmp_path / "next")
    done = _reload(serving)
    assert isinstance(done, dict)
    assert done["bundle"] == "next"
    assert serving.client.send("/v1/recognize", RED_COUNTER).json["made_by"]["bundle"] == "next"


@pytest.mark.parametrize(
    "wrong", [{"gallery": "none.gallery"}, {"models": "none"}, {"port": -1}, {"camera": "none.json"}]
)
def test_reload_that_fails_changes_nothing(shared_server: Serving, wrong: dict[str, object]) -> None:
    serving, right = shared_server, dict(shared_server.given)
    before, failed = serving.service._opened, _failed(serving)
    serving.given |= wrong
    try:
        answer = serving.client.ask("POST", "/v1/reload", token="manage")
    finally:
        serving.given.clear()
        serving.given |= right
    assert answer.status == 409
    assert answer.json["error"]["message"].endswith("nothing was changed")
    assert serving.service._opened is before
    assert serving.client.send("/v1/recognize", RED_COUNTER).status == 200
    assert _failed(serving) == failed + 1


def _failed(serving: Serving) -> float:
    lines = serving.client.get("/metrics").content.decode().splitlines()
    found = [line for line in lines if line.startswith('shitu_edge_reloads_total{outcome="failed"}')]
    return float(found[0].split()[-1]) if found else 0.0


def test_reload_loses_no_request(serve: Serve) -> None:
    serving = serve(queue=8)
    stop, statuses = threading.Event(), list[int]()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(serving.client.send("/v1/recognize", RED_COUNTER).status)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        _reload(serving)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    assert len(statuses) > 3


def test_what_was_open_stays_open_until_its_last_request(serve: Serve) -> None:
    serving = serve()
    with serving.service.use() as opened:
        _reload(serving)
        assert serving.service._opened is not opened
        assert opened.recognizer.recognize(RED_COUNTER).items
    with pytest.raises(GalleryError, match="closed"):
        opened.gallery.search_with_revision(opened.gallery.embeddings([]))


def test_replaced_gallery_is_opened(serve: Serve, shop: Path, tmp_path: Path) -> None:
    serving = serve()
    new = tmp_path / "new.gallery"
    shutil.copy(shop, new)
    with Recognizer.open(serving.given["models"], new) as recognizer:
        recognizer.gallery.rename("red", "rot")
    os.replace(new, serving.given["gallery"])
    [item] = serving.client.send("/v1/recognize", RED_COUNTER).json["items"]  # at once: the request waits for it
    assert item["label"] == "rot"
    assert serving.client.get("/v1/labels").json["labels"] == {"rot": 1, "grün": 1}
    assert serving.client.get("/readyz").status == 200


def test_replaced_gallery_is_opened_without_a_request(serve: Serve, shop: Path, tmp_path: Path) -> None:
    serving = serve()
    before = serving.service._opened
    shutil.copy(shop, tmp_path / "new.gallery")
    os.replace(tmp_path / "new.gallery", serving.given["gallery"])
    _wait(lambda: serving.service._opened is not before)


def test_gallery_that_is_gone_is_503_until_one_is_there(serve: Serve, shop: Path, tmp_path: Path) -> None:
    serving = serve()
    os.unlink(serving.given["gallery"])
    answer = serving.client.send("/v1/recognize", RED_COUNTER)
    assert (answer.status, answer.error) == (503, "GalleryError")
    assert (serving.client.get("/readyz").status, serving.client.get("/healthz").status) == (503, 200)
    (tmp_path / "none").write_bytes(b"not a gallery" * 1000)
    os.replace(tmp_path / "none", serving.given["gallery"])
    assert serving.client.send("/v1/recognize", RED_COUNTER).status == 503
    shutil.copy(shop, tmp_path / "new.gallery")
    os.replace(tmp_path / "new.gallery", serving.given["gallery"])
    assert serving.client.send("/v1/recognize", RED_COUNTER).status == 200
    assert serving.client.get("/readyz").status == 200


def test_change_by_another_process_counts_at_once(serve: Serve) -> None:
    serving = serve()
    with Recognizer.open(serving.given["models"], serving.given["gallery"]) as other:
        other.enroll("blue", product(BLUE), crop=False)
    [item] = serving.client.send("/v1/recognize", png(scene((2, 2, BLUE)))).json["items"]
    assert item["label"] == "blue"
    assert "shitu_edge_gallery_revision 4.0" in serving.client.get("/metrics").content.decode()


def test_opened_needs_a_gallery(tmp_path: Path) -> None:
    from shitu_edge.serve.folders import Folders

    with pytest.raises(OptionError, match="gallery: expected the file of a gallery"):
        Opened.open(Configuration(), Folders(tmp_path, None, None))
