"""What was opened before a fork is refused in the child at once, harms nothing there, and can be opened anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.engines import ENGINES
from shitu_edge.errors import ForkError
from shitu_edge.system.forked import Home
from tests.photos import write_photo

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")

_PRELUDE = """
import gc, json, multiprocessing, os, signal, sys
import numpy as np
from shitu_edge import ForkError, Gallery, NewGalleryItem, Recognizer

bundle, photo, engine = sys.argv[1:]
signal.alarm(60)  # a process that hangs ends, and its child too
os.register_at_fork(after_in_child=lambda: signal.alarm(30))

def refusals(calls):
    found = {}
    for name, call in calls.items():
        try:
            call()
        except ForkError as error:
            found[name] = str(error)
        except Exception as error:
            found[name] = repr(error)
        else:
            found[name] = "none"
    return found

def recognizer_calls(recognizer):
    return {
        "recognize": lambda: recognizer.recognize(photo),
        "detect": lambda: recognizer.detect(photo),
        "embed": lambda: recognizer.embed(photo),
        "enroll": lambda: recognizer.enroll("tea", photo),
    }

def gallery_calls(gallery):
    row = np.eye(1, gallery.meta.dim, dtype=np.float32)
    return {
        "search": lambda: gallery.search(row),
        "add": lambda: gallery.add([NewGalleryItem("tea", "", row[0])]),
        "remove": lambda: gallery.remove([1]),
        "entries": lambda: gallery.items(),
        "embeddings": lambda: gallery.embeddings([1]),
        "info": lambda: gallery.info(),
        "len": lambda: len(gallery),
        "log": lambda: gallery.history.log(),
        "graph_parameters": lambda: gallery.index.parameters,
        "needs_graph": lambda: gallery.index.is_due(),
        "reindex": lambda: gallery.index.rebuild(),
        "drop_stale_graphs": lambda: gallery.index.drop_stale(),
        "compact": lambda: gallery.history.compact(),
        "copy": lambda: gallery.copy("copy.gallery"),
        "prune": lambda: gallery.history.prune(1),
    }

def opened(engine=engine):
    return Recognizer.open(bundle, "shop.gallery", engine=engine, cache="")

with Recognizer.open(bundle, engine=engine, cache="") as maker:
    maker.create_gallery("shop.gallery").close()
"""

_FORK = """
recognizer = opened()
recognizer.enroll("cocoa", photo)
if WARM:
    recognizer.recognize(photo)
calls = {**recognizer_calls(recognizer), **gallery_calls(recognizer.gallery)}

def child():
    found = refusals(calls)
    recognizer.close()
    with open("child.json", "w") as stream:
        json.dump(found, stream)

if os.environ["START"] == "multiprocessing":
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    status = process.exitcode
else:
    pid = os.fork()
    if pid == 0:
        child()
        calls = recognizer = None
        gc.collect()
        sys.exit(7)  # the interpreter's ordinary end, with all its destructors
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
labels = [item.label for item in recognizer.recognize(photo).items]
print(json.dumps({"refusals": json.load(open("child.json")), "status": status, "labels": labels}))
"""

_REOPEN = """
recognizer = opened()
recognizer.enroll("cocoa", photo)
parent_closed, child_opened, child_engine = os.pipe(), os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    with opened("auto") as own:
        os.write(child_opened[1], b"-")
        os.read(parent_closed[0], 1)
        own.enroll("tea", photo)
        made_by = own.recognize(photo).made_by
        os.write(child_engine[1], made_by.extractor.engine.encode())
    sys.exit(7)
os.read(child_opened[0], 1)
recognizer.close()
log_stays = os.path.exists("shop.gallery-wal")
os.write(parent_closed[1], b"-")
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
with Gallery.open("shop.gallery") as gallery:
    labels = sorted(entry.label for entry in gallery.items())
engine = os.read(child_engine[0], 100).decode() if status == 7 else ""
print(json.dumps({"status": status, "engine": engine, "labels": labels, "log stays": log_stays}))
"""

_LATE = """
recognizer = opened()
gallery = recognizer.gallery
parent_closed = os.pipe()
with gallery.change() as change:
    change.add(NewGalleryItem("cocoa", "", np.eye(1, gallery.meta.dim, dtype=np.float32)[0]))
    pid = os.fork()
    if pid == 0:
        found = refusals({"open in a change": lambda: opened("auto")})
        os.read(parent_closed[0], 1)
        found |= refusals({"open after the parent": lambda: opened("auto")})
        with open("child.json", "w") as stream:
            json.dump(found, stream)
        sys.exit(0)  # through the end of the change
recognizer.close()
os.write(parent_closed[1], b"-")
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
with Gallery.open("shop.gallery") as gallery:
    labels = [entry.label for entry in gallery.items()]
print(json.dumps({"refusals": json.load(open("child.json")), "status": status, "labels": labels}))
"""

_ENGINE = """
pid = os.fork()
if pid == 0:
    with open("child.json", "w") as stream:
        try:
            opened().close()
        except Exception as error:
            json.dump(str(error), stream)
    sys.exit(0)
os.waitpid(pid, 0)
print(open("child.json").read())
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "cocoa.png"
    write_photo(path)
    return path


def run(program: str, bundle: Path, photo: Path, engine: str, **environment: str) -> Any:
    pytest.importorskip(engine)
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + program, str(bundle), str(photo), engine],
        cwd=photo.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("start", ["os.fork", "multiprocessing"])
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("engine", ENGINES)
def test_child_refuses_at_once_and_ends(tiny_bundle: Path, photo: Path, engine: str, warm: bool, start: str) -> None:
    seen = run(_FORK.replace("WARM", str(warm)), tiny_bundle, photo, engine, START=start)
    wrong = {
        name: text for name, text in seen["refusals"].items() if "open it in each process, after the fork" not in text
    }
    assert len(seen["refusals"]) == 19
    assert wrong == {}
    assert seen["status"] == (0 if start == "multiprocessing" else 7)
    assert set(seen["labels"]) == {"cocoa"}


@pytest.mark.parametrize("engine", ENGINES)
def test_child_that_opens_anew_loses_nothing(tiny_bundle: Path, photo: Path, engine: str) -> None:
    """SQLite alone would take no locks there, and the parent's close would delete the log that the child uses.

    The child runs on onnxruntime if its parent has used OpenVINO, which could wait there for the parent's threads.
    """
    seen = run(_REOPEN, tiny_bundle, photo, engine)
    other = "onnxruntime" if engine == "openvino" else "openvino"
    assert seen == {"status": 7, "engine": other, "labels": ["cocoa", "tea"], "log stays": True}


def test_openvino_is_refused_where_it_could_hang(tiny_bundle: Path, photo: Path) -> None:
    refusal = run(_ENGINE, tiny_bundle, photo, "openvino")
    assert "openvino: was in use before this process was forked" in refusal


def test_child_does_not_open_what_was_in_use(tiny_bundle: Path, photo: Path) -> None:
    """Nor what the parent has closed since; and it neither commits the parent's change nor rolls it back."""
    seen = run(_LATE, tiny_bundle, photo, ENGINES[0])
    assert all("cannot be opened here" in text for text in seen["refusals"].values()), seen
    assert len(seen["refusals"]) == 2
    assert (seen["status"], seen["labels"]) == (0, ["cocoa"])


def test_home_is_the_process_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home()
    home.require("it")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not home.is_here
    with pytest.raises(ForkError, match=r"^shop: was opened before"):
        home.require("shop")
