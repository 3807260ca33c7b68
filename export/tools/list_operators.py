"""Write `shitu_edge_export/operators.json`: which Paddle ops the installed converters know.

    python export/tools/list_operators.py

Neither converter lists them. paddle2onnx has a class for each, whose names stand in its library; OpenVINO's frontend
says `No creator found` when it is given a program of one op that it does not know, and something else otherwise; it is
asked for all that paddle2onnx knows and for whatever in its library might be a name.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

os.environ["CI"] = "true"  # else OpenVINO's converter reports its use to a telemetry server

import openvino as ov
from openvino.frontend import FrontEndManager
from shitu_edge_export.graph import CONTROL_FLOW, common_name
from shitu_edge_export.paddle_proto import DENSE_TENSOR, ProgramDesc

TARGET = Path(__file__).parents[1] / "shitu_edge_export" / "operators.json"
_NAME = re.compile(rb"(?<=\0)[a-z][a-z0-9_]{1,40}(?=\0)")
_CLASS = re.compile(rb"N11paddle2onnx\d+([a-z0-9_]+?)(Pir)?GeneratorE")
_FLOAT32 = 5


def main() -> None:
    """Ask both converters and write the table."""
    from importlib.metadata import version

    table = {
        f"paddle2onnx {version('paddle2onnx')}": sorted(set(paddle2onnx_operators()) - CONTROL_FLOW - {""}),
        f"OpenVINO {ov.__version__.split('-')[0]}": sorted(set(openvino_operators()) - CONTROL_FLOW - {""}),
    }
    TARGET.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print({converter: len(names) for converter, names in table.items()})


def paddle2onnx_operators() -> Iterator[str]:
    """Yield the common names of the ops that paddle2onnx maps."""
    for name, newer in _CLASS.findall(_library(Path(str(find_spec("paddle2onnx").origin)).parent, "*.so")):
        if newer:
            yield common_name(name.decode().removeprefix("builtin_"))


def openvino_operators() -> Iterator[str]:
    """Yield the common names of the ops that OpenVINO's Paddle frontend maps."""
    names = set(_NAME.findall(_library(Path(ov.__file__).parent / "libs", "libopenvino_paddle_frontend.so*")))
    names |= {name for name, _ in _CLASS.findall(_library(Path(str(find_spec("paddle2onnx").origin)).parent, "*.so"))}
    frontend = FrontEndManager().load_by_framework("paddle")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "probe.pdmodel")
        path.with_suffix(".pdiparams").touch()
        for name in sorted(names):
            path.write_bytes(program_of(name.decode()))
            try:
                frontend.convert(frontend.load(str(path)))
            except Exception as error:  # of several kinds
                if "No creator found" in str(error):
                    continue
            yield common_name(name.decode())


def _library(folder: Path, pattern: str) -> bytes:
    (library,) = folder.glob(pattern)
    return library.read_bytes()


def program_of(operator: str) -> bytes:
    """Return a program of one op, x → y."""
    program = ProgramDesc()
    block = program.blocks.add(idx=0, parent_idx=-1)
    for name, kind in (("feed", 9), ("fetch", 10), ("x", DENSE_TENSOR), ("y", DENSE_TENSOR)):
        variable = block.vars.add(name=name)
        variable.type.type = kind
        if kind == DENSE_TENSOR:
            variable.type.dense_tensor.tensor.data_type = _FLOAT32
            variable.type.dense_tensor.tensor.dims.extend([1, 4])
    for kind, source, target in (("feed", "feed", "x"), (operator, "x", "y"), ("fetch", "y", "fetch")):
        op = block.ops.add(type=kind)
        op.inputs.add(parameter="X", arguments=[source])
        op.outputs.add(parameter="Out", arguments=[target])
        if kind != operator:
            op.attrs.add(name="col", type=0, i=0)
    return bytes(program.SerializeToString())


if __name__ == "__main__":
    main()
