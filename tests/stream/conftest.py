"""A recognizer of the tiny networks, with red and green enrolled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shitu_edge import Recognizer
from tests.test_recognizer import make_shop


@pytest.fixture
def shop(tiny_bundle: Path, tmp_path: Path) -> Path:
    return make_shop(tiny_bundle, tmp_path / "shop.gallery")


@pytest.fixture
def recognizer(tiny_bundle: Path, shop: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle, shop) as opened:
        yield opened
