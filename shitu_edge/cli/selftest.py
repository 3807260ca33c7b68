"""A small task per engine and for the index, in a separate process, as a broken build may crash.

    python -m shitu_edge.cli.selftest openvino

prints the milliseconds it took, or fails with one line.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engines import ENGINES, Model, ModelFiles, Resources, open_session
from ..errors import EngineError, GalleryError, ShituError
from ..gallery.index import GraphIndex, GraphParameters

NETWORK = Path(__file__).parents[1] / "engines" / "selftest.onnx"
INPUTS, OUTPUTS = 64, 32
SUBJECTS = (*ENGINES, "hnswlib")

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Result of a subject: `milliseconds` if it works, else the problem."""

    subject: str
    milliseconds: float | None
    problem: str | None


def run_selftest(subject: str) -> SelfTest:
    """Test one of `SUBJECTS` in a separate process."""
    command = [sys.executable, "-m", __spec__.name, subject]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return SelfTest(subject, None, f"did not finish within {_TIMEOUT_S} s")
    if done.returncode == 0:
        return SelfTest(subject, float(done.stdout.split()[-1]), None)
    if not 0 < done.returncode < 256:  # a signal, or Windows' code for one
        return SelfTest(subject, None, f"crashed ({done.returncode}): built for another CPU? Reinstall it")
    lines = done.stderr.strip().splitlines()
    return SelfTest(subject, None, lines[-1] if lines else f"exited with status {done.returncode}")


def network_weights() -> NDArray[np.float32]:
    """Return the weights (64, 32) of the network in `selftest.onnx`, which computes `relu(input @ weights)`."""
    row, column = np.indices((INPUTS, OUTPUTS))
    weights: NDArray[np.float32] = (((row * 7 + column * 13) % 17 - 8) / 8).astype(np.float32)
    return weights


def _try_engine(engine: str) -> None:
    model = Model("self-test", "fp32", ("onnx",), _locate, {"input": (1, INPUTS)})
    session = open_session(model, engine, Resources(threads=1))  # type: ignore[arg-type]  # checked there
    values = np.linspace(-1, 1, INPUTS, dtype=np.float32)[None]
    found = session.run({"input": values})["output"]
    if not np.allclose(found, np.maximum(values @ network_weights(), 0), atol=1e-5):
        raise EngineError("gives wrong results")


def _locate(_file_format: str) -> ModelFiles:
    return ModelFiles((NETWORK,), hashlib.sha256(NETWORK.read_bytes()).hexdigest())


def _try_index() -> None:
    rows = np.eye(16, dtype=np.float32)
    graph = GraphIndex.build(np.arange(16, dtype=np.int64), lambda ids: rows[ids], 16, GraphParameters(), threads=1)
    if not np.array_equal(graph.search(rows, 1)[0][:, 0], np.arange(16)):
        raise GalleryError("gives wrong results")


def main() -> None:
    """Run one self-test in this process."""
    subject = sys.argv[1]
    start = time.perf_counter()
    try:
        if subject in ENGINES:
            _try_engine(subject)
        else:
            _try_index()
    except ShituError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{(time.perf_counter() - start) * 1000}\n")


if __name__ == "__main__":
    main()
