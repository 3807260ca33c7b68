"""Engines report nothing: no socket, no process on their own, nothing in the home folder besides our cache."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from shitu_edge.engines import ENGINES
from shitu_edge.engines.telemetry import turned_off
from tests.photos import write_photo

from ..tracing import trace

_RECOGNIZE = """
import sys
from shitu_edge import Recognizer
bundle, engine, photo = sys.argv[1:]
with Recognizer.open(bundle, engine=engine) as recognizer:
    recognizer.create_gallery("shop.gallery").close()
with Recognizer.open(bundle, "shop.gallery", engine=engine) as recognizer:
    recognizer.enroll("cocoa", photo)
    print(recognizer.recognize(photo).items[0].label)
"""
_COLD_START = """
import sys
from pathlib import Path
from shitu_edge import Recognizer
from shitu_edge.bench.cold import cold_start
bundle, engine, photo = sys.argv[1:]
with Recognizer.open(bundle, engine=engine) as recognizer:
    recognizer.create_gallery("shop.gallery").close()
print(cold_start(Path(bundle), Path("shop.gallery"), Path(photo).read_bytes(), engine=engine))
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "cocoa.png"
    write_photo(path)
    return path


@pytest.mark.parametrize("program", [_RECOGNIZE, _COLD_START], ids=["recognize", "bench"])
@pytest.mark.parametrize("engine", ENGINES)
def test_engine_reports_nothing(tiny_bundle: Path, tmp_path: Path, photo: Path, engine: str, program: str) -> None:
    pytest.importorskip(engine)
    seen = trace(["-c", program, tiny_bundle, engine, photo], tmp_path)
    assert seen.out
    assert (seen.sockets, seen.forks) == ([], [])
    assert {"/".join(Path(path).parts[:2]) for path in seen.home} <= {".cache", ".cache/shitu-edge"}


def test_doctor_reports_nothing(tmp_path: Path) -> None:
    seen = trace(["-m", "shitu_edge", "doctor", "--json"], tmp_path)
    assert set(ENGINES) <= set(json.loads(seen.out)["selftests"])
    assert (seen.sockets, seen.forks) == ([], [])
    assert {"/".join(Path(path).parts[:2]) for path in seen.home} <= {".cache", ".cache/shitu-edge"}


@pytest.mark.parametrize("variable", [None, "0"])
@pytest.mark.parametrize("module", [None, sys])
def test_turned_off_gives_the_program_its_own_back(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, module: object
) -> None:
    if variable is None:
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    else:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", variable)
    monkeypatch.setitem(sys.modules, "openvino_telemetry", module)
    with turned_off():
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        with pytest.raises(ImportError, match="openvino_telemetry"):
            import_module("openvino_telemetry")
    assert os.environ.get("ORT_DISABLE_TELEMETRY") == variable
    assert sys.modules["openvino_telemetry"] is module
    monkeypatch.delitem(sys.modules, "openvino_telemetry")
    with turned_off():
        pass
    assert "openvino_telemetry" not in sys.modules
