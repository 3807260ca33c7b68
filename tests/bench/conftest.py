"""One benchmark of tiny networks for all tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shitu_edge.bench.images import load_images
from shitu_edge.bench.run import Result, Setup, run
from shitu_edge.bundle import Bundle, write_manifest
from tests.networks import write_bundle

from . import quiet


@pytest.fixture(scope="session")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """A bundle whose extractor is there in two precisions."""
    folder = tmp_path_factory.mktemp("bench")
    manifest = write_bundle(folder / "tiny").manifest
    network = manifest.extractor.network
    network = replace(network, files={**network.files, "int8": network.files["fp32"]})
    write_manifest(folder / "tiny", replace(manifest, extractor=replace(manifest.extractor, network=network)))
    Bundle.open(folder / "tiny").verify()
    return Setup(folder / "kept", str(folder / "tiny"), gallery_size=300, objects=3, count=12, seconds=0.2)


@pytest.fixture(scope="session")
def images() -> list[bytes]:
    """The sample scenes, made small."""
    return load_images(None, (320, 180))


@pytest.fixture(scope="session")
def result(setup: Setup, images: list[bytes]) -> Result:
    """What was measured."""
    return run(setup, images, report=quiet)
