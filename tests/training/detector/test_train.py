"""The training loop on drawn photos: resuming, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.checkpoint import save_checkpoint
from training.detector.options import DetectorOptions, Source
from training.detector.train import CHECKPOINT, LOG, load_detector, train_detector
from training.networks.extractor import Extractor


def options(drawn: Path, out: Path) -> DetectorOptions:
    return DetectorOptions(
        (Source(drawn, held_out=0.25),), out, 0.25, 24, side=64, steps=4, batch=2, eval_every=2, threads=1
    )


class Interrupted(Exception):
    pass


def test_an_interrupted_run_ends_as_an_uninterrupted_one(drawn: Path, tmp_path: Path) -> None:
    steps = []
    whole = train_detector(options(drawn, tmp_path / "whole"), lambda done, of: steps.append((done, of)))
    assert steps == [(done, 4) for done in range(1, 5)]

    def interrupt(done: int, of: int) -> None:
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_detector(options(drawn, tmp_path / "parts"), interrupt)
    steps.clear()
    parts = train_detector(options(drawn, tmp_path / "parts"), lambda done, of: steps.append((done, of)))
    assert steps == [(3, 4), (4, 4)]
    loaded = load_detector(tmp_path / "parts" / CHECKPOINT)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=0, atol=0)
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)
    assert not loaded.training


def test_log(drawn: Path, tmp_path: Path) -> None:
    train_detector(options(drawn, tmp_path / "out"), lambda done, of: None)
    lines = [json.loads(line) for line in (tmp_path / "out" / LOG).read_text("utf-8").splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert all(0 <= line["ap50"] <= 1 and line["score"] > 0 and line["box"] > 0 for line in lines)


def test_refuses_to_go_on_with_other_options(drawn: Path, tmp_path: Path) -> None:
    started = replace(options(drawn, tmp_path / "out"), steps=1)
    train_detector(started, lambda done, of: None)
    with pytest.raises(ValueError, match=r"other options \(learning_rate, seed\)"):
        train_detector(replace(started, seed=2, learning_rate=1e-3), lambda done, of: None)


def test_starts_from_an_extractor_of_its_width(drawn: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    extractor, path = Extractor(0.25, 8), tmp_path / "extractor.pt"
    state: dict[str, Any] = {"kind": "extractor", "options": extractor.facts}
    state["network"] = extractor.state_dict()
    save_checkpoint(path, state)
    still = replace(options(drawn, tmp_path / "out"), steps=1, learning_rate=0.0, backbone=path)
    network = train_detector(still, lambda done, of: None)
    for name, value in extractor.backbone.named_parameters():
        torch.testing.assert_close(network.backbone.get_parameter(name), value)
    with pytest.raises(ValueError, match=r"lcnet of scale 0\.5, as the detector's, found lcnet of scale 0\.25"):
        train_detector(replace(still, out=tmp_path / "wide", scale=0.5), lambda done, of: None)


def test_starts_from_a_detector_of_its_size(drawn: Path, tmp_path: Path) -> None:
    first = train_detector(replace(options(drawn, tmp_path / "first"), steps=2), lambda done, of: None)
    path = tmp_path / "first" / "detector.pt"
    still = replace(options(drawn, tmp_path / "out"), steps=1, learning_rate=0.0, initial=path)
    network = train_detector(still, lambda done, of: None)
    for name, value in first.named_parameters():
        torch.testing.assert_close(network.get_parameter(name), value)
    with pytest.raises(ValueError, match=r"expected a detector of PicoDetConfig\(scale=0\.5"):
        train_detector(replace(still, out=tmp_path / "wide", scale=0.5), lambda done, of: None)


def test_refuses_a_side_that_does_not_divide(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 32, found 100"):
        replace(options(drawn, tmp_path), side=100)


def test_shapes_of_the_runtime_are_among_those_of_the_training(drawn: Path, tmp_path: Path) -> None:
    shapes = DetectorOptions((Source(drawn),), tmp_path, side=352, steps=1000).shapes(999)
    assert {(352, 352), (288, 448), (448, 288)} < set(shapes)
    for height, width in shapes:
        assert height % 32 == width % 32 == 0
        assert {(height, width), (width, height)} <= set(shapes)


def test_small_images_first_and_a_rate_that_rises_and_falls(drawn: Path, tmp_path: Path) -> None:
    course = DetectorOptions((Source(drawn),), tmp_path, side=320, steps=1000, learning_rate=1.0)
    assert [shape for shape in course.shapes(0) if shape[0] == shape[1]] == [(224, 224), (256, 256), (288, 288)]
    assert [shape for shape in course.shapes(999) if shape[0] == shape[1]] == [(288, 288), (320, 320), (352, 352)]
    rates = [course.rate(step) for step in range(1000)]
    assert rates[:50] == pytest.approx([(step + 1) / 50 for step in range(50)])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[525] == pytest.approx((1 + 0.02) / 2, abs=0.002)
    assert rates[-1] == pytest.approx(0.02, abs=0.001)
