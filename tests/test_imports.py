"""What an import costs and needs."""

from __future__ import annotations

import subprocess
import sys
from inspect import isclass, isfunction

import pytest

import shitu_edge


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_engine_and_opens_no_socket() -> None:
    heavy = ("openvino", "onnxruntime", "hnswlib", "cv2", "typer", "rich", "paddle", "onnx", "ssl")
    loaded = _run(
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('a socket was opened')\n"
        "socket.socket = refuse\n"
        f"import shitu_edge; print([name for name in {heavy} if name in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_runtime_never_names_paddle() -> None:
    """The runtime's modules import without Paddle or ONNX tooling in reach."""
    _run(
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('paddle', 'paddle2onnx', 'onnx', 'nncf', 'torch'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import pkgutil, importlib, shitu_edge\n"
        "for module in pkgutil.walk_packages(shitu_edge.__path__, 'shitu_edge.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
    )


_PUBLIC = {name: getattr(shitu_edge, name) for name in shitu_edge.__all__}


@pytest.mark.parametrize("name", [name for name, value in _PUBLIC.items() if isclass(value) or isfunction(value)])
def test_public_names_are_documented(name: str) -> None:
    public = _PUBLIC[name]
    assert public.__doc__
    assert not public.__doc__.startswith(f"{name}(")  # what dataclasses write by themselves


def test_the_package_loads_its_names_when_they_are_used() -> None:
    loaded = _run(
        "import sys, shitu_edge\n"
        "before = 'numpy' in sys.modules\n"
        "assert set(shitu_edge.__all__) <= set(dir(shitu_edge))\n"
        "assert not hasattr(shitu_edge, 'Nothing')\n"
        "from shitu_edge import *\n"
        "print(before, [name for name in shitu_edge.__all__ if globals()[name] is not getattr(shitu_edge, name)])"
    )
    assert loaded.strip() == "False []"
