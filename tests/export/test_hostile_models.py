"""Models that are nearly right, as Paddle's two formats hold them: facts, or a refusal in one line."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shitu_edge_export.inspection import inspect
from shitu_edge_export.paddle_proto import ProgramDesc
from shitu_edge_export.source import find_graph

from shitu_edge.errors import ShituError
from tests.mutations import mutated

from .programs import Net, Pico, extractor, to_pdmodel, to_pir, weights_file

EXAMPLES = 250
NETS: list[Net] = [
    Pico().build()[0],
    Pico(end="raw", batch=1).build()[0],
    Pico(loop=True, scores="sigmoid").build()[0],
    extractor("V1", 16),
    extractor("V2", 16),
]
_TEXTS = ("", "x", "w_0", "image", "multiclass_nms3", "\x1b\n", "top_k", "softmax", "\0", "é" * 300)
_NUMBERS = (0, -1, 1, 2, 100, 2**31 - 1, -(2**31))

Files = dict[str, bytes]


def program_of_json(net: Net, chance: random.Random) -> Files:
    return {"inference.json": mutated(to_pir(net), chance), "inference.pdiparams": weights_file(net.constants)}


def program_alone(net: Net, chance: random.Random) -> Files:
    return {"inference.json": mutated(to_pir(net), chance)}


def program_of_fields(net: Net, chance: random.Random) -> Files:
    program = ProgramDesc()
    program.ParseFromString(to_pdmodel(net))
    for _ in range(chance.choice((1, 1, 2, 3))):
        _change_a_field(program, chance)
    return {
        "inference.pdmodel": program.SerializePartialToString(),
        "inference.pdiparams": weights_file(net.constants),
    }


def program_of_bytes(net: Net, chance: random.Random) -> Files:
    return {
        "inference.pdmodel": _flipped(to_pdmodel(net), chance),
        "inference.pdiparams": weights_file(net.constants),
    }


def weights(net: Net, chance: random.Random) -> Files:
    content = weights_file(net.constants)
    return {
        "inference.pdmodel": to_pdmodel(net),
        "inference.pdiparams": _flipped(content[:300], chance) + content[300:],
    }


def _flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 5))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.1 else changed)


def _change_a_field(message: Any, chance: random.Random) -> None:
    """Change one field of a message or of one inside it."""
    for _ in range(chance.randrange(1, 7)):
        fields = message.ListFields()
        if not fields:
            return
        field, value = chance.choice(fields)
        if field.message_type is None:
            _change(message, field, value, chance)
            return
        if isinstance(value, field.message_type._concrete_class):
            message = value
        elif chance.random() < 0.1:
            del value[chance.randrange(len(value))]
            return
        else:
            message = chance.choice(value)


def _change(message: Any, field: Any, value: Any, chance: random.Random) -> None:
    odd = chance.choice(_TEXTS if field.cpp_type == field.CPPTYPE_STRING else _NUMBERS)
    odd = bool(odd) if field.cpp_type == field.CPPTYPE_BOOL else odd
    if hasattr(value, "append"):
        kind = chance.randrange(3)
        if kind == 0:
            del value[chance.randrange(len(value))]
        elif kind == 1:
            value[chance.randrange(len(value))] = odd
        else:
            value.append(odd)
    elif chance.random() < 0.3:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, odd)


@pytest.mark.parametrize("kind", [program_of_json, program_alone, program_of_fields, program_of_bytes, weights])
def test_a_changed_model_is_told_or_refused(tmp_path: Path, kind: Callable[[Net, random.Random], Files]) -> None:
    chance = random.Random(kind.__name__)
    refused = 0
    for number in range(EXAMPLES):
        for file in tmp_path.iterdir():
            file.unlink()
        for name, content in kind(NETS[number % len(NETS)], chance).items():
            (tmp_path / name).write_bytes(content)
        refusal = _refusal(tmp_path)
        refused += refusal is not None
        assert refusal is None or (len(refusal) < 1000 and not {"\n", "\x1b"} & set(refusal)), refusal
    assert EXAMPLES // 5 < refused <= EXAMPLES


def _refusal(folder: Path) -> str | None:
    try:
        found = inspect(folder)
        found.facts()
        assert all(line.isprintable() for line in found.lines())
    except ShituError as error:
        return str(error)
    return None


PADDLE_FILES = ("inference.json", "inference.pdmodel", "inference.pdiparams")
ENDLESS = [
    *((name, kind) for name in (*PADDLE_FILES, "model.onnx") for kind in ("pipe", "endless")),
    *((name, "sparse") for name in PADDLE_FILES),  # ONNX files are read by onnx, in a process of its own
]


@pytest.mark.parametrize(("name", "kind"), ENDLESS)
def test_files_that_never_end(tmp_path: Path, name: str, kind: str) -> None:
    if name == "inference.pdiparams":
        (tmp_path / "inference.pdmodel").write_bytes(to_pdmodel(NETS[0]))
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    elif kind == "endless":
        (tmp_path / name).symlink_to("/dev/zero")
    else:
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 1 << 36)
    with pytest.raises(ShituError) as refusal:
        inspect(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_pipe_among_other_files_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "inference.pdmodel").write_bytes(to_pdmodel(NETS[0]))
    assert find_graph(tmp_path) == tmp_path / "inference.pdmodel"
