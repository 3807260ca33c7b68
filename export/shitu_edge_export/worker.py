"""Tasks in a process of their own: they abort on what they cannot do, or must not share a process with others.

    python -m shitu_edge_export.worker TASK ARGUMENTS.json

The result is written as JSON to the path `result` of the arguments. Started by `isolate.run`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Facts = dict[str, Any]

OPSET = 14
"""The first with HardSwish."""


def paddle_to_onnx(graph: str, weights: str, target: str, opset: int) -> Facts:
    """Convert a Paddle model, `.pdmodel` or `inference.json`, by paddle2onnx."""
    import paddle2onnx
    from paddle2onnx.convert import export

    # Its optimizers are left out: one of them installs packages.
    export(graph, weights, target, opset_version=opset, auto_upgrade_opset=False, optimize_tool="None")
    if not Path(target).is_file() or not Path(target).stat().st_size:
        raise SystemExit("paddle2onnx wrote nothing")
    return {"paddle2onnx": paddle2onnx.__version__}


def infer_onnx(source: str, target: str) -> Facts:
    """Check an ONNX model and write it with the shapes of all values. onnx itself crashes on some damaged ones."""
    import onnx

    model = onnx.load(source)
    onnx.checker.check_model(model)
    onnx.save(onnx.shape_inference.infer_shapes(model), target)
    return {"onnx": onnx.__version__}


def to_ir(source: str, target: str, shapes: dict[str, list[int]], outputs: list[str], half: bool) -> Facts:
    """Convert ONNX or a `.pdmodel` to IR by OpenVINO's frontend, with other input shapes where given.

    Outputs are given these names, in their order.
    """
    import openvino as ov

    model = ov.convert_model(source)
    if shapes:
        model.reshape(shapes)
    if len(outputs) != len(model.outputs):
        raise SystemExit(f"expected {len(outputs)} outputs, OpenVINO made {len(model.outputs)}")
    for output, name in zip(model.outputs, outputs, strict=True):
        output.get_tensor().set_names({name})
    ov.save_model(model, target, compress_to_fp16=half)
    return {"openvino": ov.__version__, "shapes": {o.get_any_name(): str(o.get_partial_shape()) for o in model.outputs}}


def run_paddle(graph: str, weights: str, feeds: str, outputs: str) -> Facts:
    """Run a Paddle model on every set of inputs in a folder of .npz files; write its outputs beside, in their order."""
    import numpy as np
    from paddle import __version__, inference

    config = inference.Config(graph, weights)
    config.disable_gpu()
    config.disable_mkldnn()
    config.switch_ir_optim(False)  # its fusions are wrong where layers share weights, as heads do
    config.set_cpu_math_library_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    config.disable_glog_info()
    predictor = inference.create_predictor(config)
    for path in sorted(Path(feeds).glob("*.npz")):
        with np.load(path) as arrays:
            for name in predictor.get_input_names():
                predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(arrays[name]))
        predictor.run()
        results = [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]
        np.savez(Path(outputs) / path.name, *results)
    return {"paddlepaddle": __version__}


TASKS: dict[str, Callable[..., Facts]] = {
    task.__name__: task for task in (paddle_to_onnx, infer_onnx, to_ir, run_paddle)
}


def main() -> None:
    """Do one task."""
    task, arguments_path = sys.argv[1:]
    arguments = json.loads(Path(arguments_path).read_text(encoding="utf-8"))
    result = Path(arguments.pop("result"))
    try:
        facts = TASKS[task](**arguments)
    except Exception as error:  # the converters' own exceptions share no base class; the caller shows the last words
        sys.exit(f"{type(error).__name__}: {error}")
    result.write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
