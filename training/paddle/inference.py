"""A Paddle layer saved for inference, and what the saved file answers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

STEM = "inference"


def save(network: Any, inputs: Mapping[str, Sequence[int | None]], folder: Path) -> None:
    """Write `inference.pdmodel` and `inference.pdiparams`.

    Args:
        network: Paddle layer, in evaluation mode.
        inputs: name and shape of each of its inputs, in order; None is any size.
        folder: must exist.
    """
    spec = [paddle.static.InputSpec(list(shape), "float32", name) for name, shape in inputs.items()]
    paddle.jit.save(network, str(folder / STEM), input_spec=spec)


def run_extractor(folder: Path, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return what a saved extractor answers to images (N, 3, H, W): `embedding` (N, D)."""
    with _loaded(folder) as (executor, program, outputs):
        (rows,) = executor.run(program, {"x": images}, outputs)
    return {"embedding": rows}


def run_detector(folder: Path, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return what the head inside a saved detector says of images (N, 3, H, W): see `Parcel.answers`."""
    with _loaded(folder) as (executor, program, outputs):
        ops = program.global_block().ops
        scores = [op.output("Out")[0] for op in ops if op.type == "sigmoid"]
        bins = [op.input("X")[0] for op in ops if op.type == "softmax"]
        feeds = [{"image": image[None], "scale_factor": np.ones((1, 2), np.float32)} for image in images]
        # The boxes are asked for too: all of the program has to run.
        found = [executor.run(program, feed, [*scores, *bins, *outputs])[: -len(outputs)] for feed in feeds]
    split = len(scores)
    return {
        "scores": np.stack([np.concatenate([array.reshape(-1) for array in arrays[:split]]) for arrays in found]),
        "distances": np.stack([_anchors(arrays[split:]) for arrays in found]),
    }


def read_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the parameters and statistics of a saved network, by the names that its layers gave them.

    As `paddle.jit.load` does, it unpickles those names: not for files of strangers.
    """
    told: dict[str, dict[str, Any]] = pickle.loads((folder / f"{STEM}.pdiparams.info").read_bytes())
    with _loaded(folder) as (_, program, _):
        scope = paddle.static.global_scope()
        kept = [name for name in told if program.global_block().has_var(name)]
        return {told[name]["structured_name"]: np.array(scope.find_var(name).get_tensor()) for name in kept}


def _anchors(levels: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the logits of all levels, (4 A, B) each, as one (A, 4 B)."""
    return np.concatenate([array.reshape(-1, 4 * array.shape[-1]) for array in levels])


@contextmanager
def _loaded(folder: Path) -> Iterator[tuple[Any, Any, Any]]:
    paddle.enable_static()
    try:
        with paddle.static.scope_guard(paddle.static.Scope()):
            executor = paddle.static.Executor(paddle.CPUPlace())
            program, _, outputs = paddle.static.load_inference_model(str(folder / STEM), executor)
            yield executor, program, outputs
    finally:
        paddle.disable_static()
