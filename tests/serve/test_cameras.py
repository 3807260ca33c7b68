"""Cameras that the server reads itself: fed, counted, unplugged and plugged in again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import ImageError, OptionError
from shitu_edge.serve import cameras
from shitu_edge.serve.cameras import frames_of
from tests.test_recognizer import RED, scene

from .client import png
from .conftest import WITHIN_S, Serve, Serving


class Plug:
    """A camera that gives frames while it is plugged in."""

    def __init__(self) -> None:
        self.plugged = threading.Event()
        self.plugged.set()
        self.opened = 0

    def frames(self, number: int) -> Iterator[NDArray[np.uint8]]:
        self.opened += 1
        rng = np.random.default_rng(0)
        for _ in range(1_000_000):
            if not self.plugged.is_set():
                raise ImageError(f"camera {number}: gives no more frames; was it unplugged?")
            noise = rng.integers(-2, 3, (256, 256, 3))
            yield np.clip(scene((1, 1, RED)).astype(int) + noise, 0, 255).astype(np.uint8)
            threading.Event().wait(0.01)


def _until(serving: Serving, wanted: Any) -> Any:
    for _ in range(WITHIN_S * 100):
        facts = serving.client.get("/v1/streams/counter").json
        if wanted(facts):
            return facts
        threading.Event().wait(0.01)
    pytest.fail(f"did not happen in time: {facts}")


def test_camera_is_watched_unplugged_and_plugged_in_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    plug = Plug()
    monkeypatch.setattr(cameras, "camera_frames", plug.frames)
    monkeypatch.setattr(cameras, "RETRY_S", 0.01)
    serving = serve(watch=["counter=0"])
    facts = _until(serving, lambda facts: facts.get("basket") == {"red": 1})
    assert (facts["owner"], facts["error"]) == ("server", None)
    plug.plugged.clear()
    assert "was it unplugged?" in _until(serving, lambda facts: facts["error"] is not None)["error"]
    assert serving.client.get("/readyz").status == 200
    plug.plugged.set()
    _until(serving, lambda facts: facts["error"] is None and facts["basket"] == {"red": 1})
    assert plug.opened > 1


def test_stream_of_a_camera_takes_no_frames_and_does_not_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "camera_frames", Plug().frames)
    serving = serve(watch=["counter=0"])
    _until(serving, lambda facts: facts.get("id") == "counter")
    assert serving.client.send("/v1/streams/counter/frames", png(scene())).status == 409
    assert serving.client.ask("DELETE", "/v1/streams/counter").status == 409
    serving.service.streams.end_idle(-1)
    assert serving.client.get("/v1/streams/counter").status == 200


def test_folder_is_watched_once(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(scene((1, 1, RED))))
    serving = serve(watch=[f"counter={folder}"])
    facts = _until(serving, lambda facts: facts.get("error") is not None)
    assert facts["error"] == "the frames have ended"
    assert 1 <= facts["counts"]["fed"] <= 3
    text = serving.client.get("/metrics").content.decode()
    counted = [float(line.split()[-1]) for line in text.splitlines() if line.startswith("shitu_edge_stream_frames_")]
    assert sum(counted) == 3


@pytest.mark.parametrize("source", ["", "camera", "-1", "99999", "rtsp:/camera"])
def test_source_that_is_none_is_named(source: str) -> None:
    with pytest.raises(OptionError, match="watch: expected a camera's number or address"):
        frames_of(source)
