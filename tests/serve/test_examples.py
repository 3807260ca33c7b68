"""The examples in five languages: recognize, stream and events, where the language is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_recognizer import RED, scene

from .conftest import Serve, Serving

EXAMPLES = Path(__file__).parents[2] / "examples" / "serve"
EXPECTED = ["recognize: red", "event: named red", 'basket: {"red": 1}']
LANGUAGES = {
    "till.py": [sys.executable],
    "till.mjs": ["node"],
    "Till.java": ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1"],
    "till.sh": ["bash"],
}

pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are in the checkout alone")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two seconds of a counter with a red thing, with noise as every sensor has it."""
    folder, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    for number in range(20):
        noisy = scene((1, 1, RED)).astype(int) + rng.integers(-2, 3, (256, 256, 3))
        stream = BytesIO()
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=95)
        (folder / f"{number:02}.jpg").write_bytes(stream.getvalue())
    return sorted(map(str, folder.iterdir()))


@pytest.fixture
def serving(serve: Serve) -> Serving:
    return serve()


def _lines(command: list[str], address: str, frames: list[str]) -> list[str]:
    done = subprocess.run([*command, address, *frames], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [line.replace('"red":1', '"red": 1') for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", LANGUAGES)
def test_example_recognizes_and_watches(name: str, serving: Serving, frames: list[str]) -> None:
    program, *options = LANGUAGES[name]
    needed = "curl" if name == "till.sh" else program
    if shutil.which(needed) is None:
        pytest.skip(f"no {needed} here")
    assert _lines([program, *options, str(EXAMPLES / name)], serving.client.address, frames) == EXPECTED


def test_example_in_c_sharp_compiles_and_runs(serving: Serving, frames: list[str], tmp_path: Path) -> None:
    if shutil.which("mcs") is None:
        pytest.skip("no mcs here (Debian: mono-mcs)")
    compiled = tmp_path / "Till.exe"
    command = ["mcs", "-r:System.Net.Http", f"-out:{compiled}", str(EXAMPLES / "Till.cs")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    if shutil.which("mono") is None:
        return  # a compiler alone
    assert _lines(["mono", str(compiled)], serving.client.address, frames) == EXPECTED


def test_examples_say_what_is_wrong(serving: Serving, tmp_path: Path) -> None:
    (tmp_path / "none.jpg").write_bytes(b"no image")
    command = [sys.executable, str(EXAMPLES / "till.py"), serving.client.address, str(tmp_path / "none.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 1
    assert done.stderr.startswith("422: ")
