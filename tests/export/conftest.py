"""Tiny networks in Paddle's formats, built once where Paddle is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from .paddle_networks import FORMATS, NETWORKS, Format, build, missing


@pytest.fixture(scope="session")
def paddle_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Format, Path]:
    """The folder of each format's networks, each in a folder of its name; skips where Paddle is not installed."""
    lacking = missing()
    if lacking:
        pytest.skip(f"{' and '.join(lacking)} not installed: `make test-export` sets them up and runs this")
    folders = {file_format: tmp_path_factory.mktemp(file_format) for file_format in FORMATS}
    for file_format, folder in folders.items():
        build(NETWORKS, file_format, folder)
    return folders
