"""From a bundle's network to a session: the default precision, and float32 where an engine cannot run it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import openvino as ov
import pytest

from shitu_edge.bundle import Bundle, Network, NetworkFile, write_manifest
from shitu_edge.bundle.networks import open_network
from shitu_edge.engines import Resources
from shitu_edge.errors import BundleError, EngineError
from tests.networks import write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle whose extractor is INT8 by default, for OpenVINO alone, and float32 for both engines."""
    opened = write_bundle(tmp_path / "tiny")
    converted = ov.convert_model(opened.folder / "extractor.onnx")
    ov.save_model(converted, opened.folder / "extractor.int8.xml", compress_to_fp16=False)
    manifest = opened.manifest
    network = manifest.extractor.network
    ir = (NetworkFile("extractor.int8.xml", ""), NetworkFile("extractor.int8.bin", ""))
    files = {**network.files, "int8": {"openvino": ir}}
    network = replace(network, files=files, default_precision="int8")
    return write_manifest(opened.folder, replace(manifest, extractor=replace(manifest.extractor, network=network)))


def network_of(bundle: Bundle) -> Network:
    return bundle.manifest.extractor.network


def test_default_precision_where_the_engine_has_it(bundle: Bundle) -> None:
    info = open_network(bundle, network_of(bundle), "auto", None, Resources(1)).info
    assert (info.engine, info.precision, info.fallback) == ("openvino", "int8", None)


def test_float32_where_the_engine_lacks_the_default(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    info = open_network(bundle, network_of(bundle), "onnxruntime", None, Resources(1)).info
    assert (info.engine, info.precision) == ("onnxruntime", "fp32")
    assert info.fallback is not None
    assert "int8" in info.fallback
    assert "int8" in caplog.text


def test_a_demanded_precision_is_no_wish(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="int8"):
        open_network(bundle, network_of(bundle), "onnxruntime", "int8", Resources(1))


def test_a_precision_that_the_bundle_lacks(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no fp16 files"):
        open_network(bundle, network_of(bundle), "auto", "fp16", Resources(1))


def test_a_default_of_float32_has_nothing_to_fall_back_to(bundle: Bundle) -> None:
    plain = replace(network_of(bundle), default_precision="fp32", files={"fp32": {"openvino": ()}})
    with pytest.raises(EngineError):
        open_network(bundle, plain, "onnxruntime", None, Resources(1))
