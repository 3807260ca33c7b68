"""An engine that fails once is followed by the other; one that fails always changes the order, or the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from shitu_edge import EmbeddingError, EngineError, GalleryError, Recognizer
from shitu_edge.engines import Session, Tensors
from shitu_edge.serve.engines import MOST_FAILURES, Engines, Retry
from tests.test_recognizer import RED, scene

from .client import png
from .conftest import Serve, Serving

COUNTER = scene((1, 1, RED))


class FailingSession:
    """A session that raises as often as it is told to, and answers then."""

    def __init__(self, real: Session, error: Exception, times: float) -> None:
        self.info = real.info
        self._real, self._error, self._left = real, error, times

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        if self._left > 0:
            self._left -= 1
            raise self._error
        return self._real.run(feeds)


def failing(recognizer: Recognizer, times: float, error: Exception | None = None) -> Recognizer:
    """Have a recognizer's extractor fail; return the recognizer."""
    extractor = recognizer._extractor
    extractor._session = FailingSession(extractor._session, error or EngineError("the engine broke"), times)
    return recognizer


Open = Callable[[str], Recognizer]


@pytest.fixture
def open_on(tiny_bundle: Path, shop: Path) -> Iterator[Open]:
    with ExitStack() as stack:
        yield lambda engine: stack.enter_context(Recognizer.open(tiny_bundle, shop, engine=engine))  # type: ignore[arg-type]


def _seen(recognizer: Recognizer) -> str:
    return recognizer.recognize(COUNTER, whole_image="never").made_by.detector.engine


@pytest.mark.parametrize("error", [EngineError("the engine broke"), EmbeddingError("not finite")])
def test_run_asks_the_other_engine_after_a_failure(open_on: Open, error: Exception) -> None:
    engines = Engines(failing(open_on("openvino"), 1, error), lambda: open_on("onnxruntime"))
    assert engines.run(_seen) == ("onnxruntime", Retry("openvino", str(error)))
    assert engines.run(_seen) == ("openvino", None)
    assert engines.broken is None


def test_run_opens_the_other_engine_once(open_on: Open) -> None:
    opened = []

    def open_other() -> Recognizer:
        opened.append(open_on("onnxruntime"))
        return opened[-1]

    engines = Engines(failing(open_on("openvino"), 2), open_other)
    assert [engines.run(_seen)[0] for _ in range(3)] == ["onnxruntime", "onnxruntime", "openvino"]
    assert len(opened) == 1


def test_engine_that_always_fails_is_asked_last(open_on: Open) -> None:
    engines = Engines(failing(open_on("openvino"), float("inf")), lambda: open_on("onnxruntime"))
    retried = [engines.run(_seen)[1] is not None for _ in range(MOST_FAILURES + 2)]
    assert retried == [True] * MOST_FAILURES + [False] * 2
    assert engines.first.extractor_info.engine == "onnxruntime"


def test_failure_of_both_engines_is_raised_and_remembered(open_on: Open) -> None:
    other = failing(open_on("onnxruntime"), 1, EngineError("broke too"))
    engines = Engines(failing(open_on("openvino"), 1), lambda: other)
    with pytest.raises(EngineError, match="broke too"):
        engines.run(_seen)
    assert engines.broken == "broke too"
    assert engines.run(_seen) == ("openvino", None)
    assert engines.broken is None


def test_failure_without_another_engine_is_raised(open_on: Open) -> None:
    engines = Engines(failing(open_on("openvino"), 1), None)
    with pytest.raises(EngineError, match="the engine broke"):
        engines.run(_seen)

    def missing() -> Recognizer:
        raise EngineError("onnxruntime is not installed")

    engines = Engines(failing(open_on("openvino"), 1), missing)
    with pytest.raises(EngineError, match="the engine broke; and no other engine can be opened: onnxruntime is not"):
        engines.run(_seen)


def test_other_errors_are_not_retried(open_on: Open) -> None:
    def fail(_: Recognizer) -> None:
        raise GalleryError("no")

    engines = Engines(open_on("openvino"), lambda: pytest.fail("asked the other engine"))
    with pytest.raises(GalleryError):
        engines.run(fail)


# -- over HTTP


def _break(serving: Serving, times: float, both: bool = False) -> None:
    opened = serving.service._opened
    assert opened is not None
    engines = opened.engines
    failing(engines.first, times)
    if both:
        open_other = engines._open_other
        assert open_other is not None
        engines._open_other = lambda: failing(open_other(), times)


def test_one_failure_is_said_in_answer_and_metrics(serve: Serve) -> None:
    serving = serve()
    _break(serving, 1)
    answer = serving.client.send("/v1/recognize", png(COUNTER), whole_image="never")
    assert answer.status == 200
    assert answer.json["retried"] == {"engine": "openvino", "error": "the engine broke"}
    assert answer.json["made_by"]["detector"]["engine"] == "onnxruntime"
    assert [item["label"] for item in answer.json["items"]] == ["red"]
    assert 'shitu_edge_engine_retries_total{engine="openvino"} 1.0' in serving.client.get("/metrics").content.decode()
    assert serving.client.send("/v1/recognize", png(COUNTER), whole_image="never").json["retried"] is None


def test_failure_of_both_engines_is_503_and_not_ready(serve: Serve) -> None:
    serving = serve()
    _break(serving, 1, both=True)
    answer = serving.client.send("/v1/recognize", png(COUNTER), whole_image="never")
    assert (answer.status, answer.error, answer.headers["retry-after"]) == (503, "EngineError", "1")
    ready = serving.client.get("/readyz")
    assert (ready.status, ready.json["error"]) == (503, "the engine broke")
    assert "shitu_edge_engine_errors_total 1.0" in serving.client.get("/metrics").content.decode()
    assert serving.client.send("/v1/recognize", png(COUNTER), whole_image="never").status == 200
    assert serving.client.get("/readyz").status == 200


def test_engine_on_demand_is_not_replaced(serve: Serve) -> None:
    serving = serve(engine="onnxruntime")
    _break(serving, 1)
    assert serving.client.send("/v1/recognize", png(COUNTER), whole_image="never").status == 503
