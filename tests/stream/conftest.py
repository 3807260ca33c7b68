"""A recognizer of the tiny networks, with red and green enrolled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shitu_edge import Recognizer
from tests.test_recognizer import GREEN, RED, product


@pytest.fixture
def shop(tiny_bundle: Path, tmp_path: Path) -> Path:
    path = tmp_path / "shop.gallery"
    with Recognizer.open(tiny_bundle) as embedder:
        embedder.create_gallery(path).close()
    with Recognizer.open(tiny_bundle, path) as recognizer:
        recognizer.enroll("red", product(RED))
        recognizer.enroll("green", product(GREEN))
    return path


@pytest.fixture
def recognizer(tiny_bundle: Path, shop: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle, shop) as opened:
        yield opened
