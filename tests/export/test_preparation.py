"""Descriptions of the input as PaddleDetection, PaddleClas and PaddleX write them, and what the runtime does not do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from shitu_edge_export.errors import ModelError
from shitu_edge_export.preparation import (
    DETECTOR,
    EXTRACTOR,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preparation,
    read_preparation,
)

DETECTION = """
mode: fluid
draw_threshold: 0.5
arch: PicoDet
Preprocess:
- interp: 2
  keep_ratio: false
  target_size:
  - 416
  - 640
  type: Resize
- is_scale: true
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
  type: NormalizeImage
- type: Permute
label_list: [foreground]
"""
CLASSIFICATION = """
Global: {infer_imgs: ./images}
PreProcess:
  transform_ops:
    - ResizeImage: {size: 224, backend: cv2}
    - NormalizeImage:
        scale: 1.0/255.0
        mean: [0.5, 0.25, 0.125]
        std: [0.5, 0.5, 0.25]
        order: ''
    - ToCHWImage:
PostProcess: {NormalizeFeatures: null}
"""
PADDLEX = """
Global: {model_name: PP-ShiTuV2_rec}
Hpi:
  backend_configs: {paddle_infer: {trt_dynamic_shapes: {x: [[1, 3, 224, 224]]}}}
PreProcess:
  transform_ops:
  - ResizeImage: {size: [192, 256], return_numpy: false, interpolation: bilinear, backend: cv2}
  - NormalizeImage:
      {channel_num: 3, mean: [0.485, 0.456, 0.406], order: hwc, scale: 0.00392157, std: [0.229, 0.224, 0.225]}
  - ToCHWImage: null
  - KeepKeys: {keep_keys: [image]}
"""


def read(text: str, folder: Path, default: Preparation = DETECTOR) -> Preparation:
    path = folder / "inference.yml"
    path.write_text(text, encoding="utf-8")
    return read_preparation(path, default)


def steps(*given: dict[str, Any]) -> str:
    """Return a description as PaddleDetection writes it."""
    return str(yaml.safe_dump({"Preprocess": list(given)}))


RESIZE = {"type": "Resize", "target_size": [64, 64], "keep_ratio": False, "interp": 1}


def test_paddledetection(tmp_path: Path) -> None:
    assert read(DETECTION, tmp_path) == Preparation("cubic", 416, 640, 1 / 255, IMAGENET_MEAN, IMAGENET_STD)


def test_paddleclas(tmp_path: Path) -> None:
    expected = Preparation("bilinear", 224, 224, 1 / 255, (0.5, 0.25, 0.125), (0.5, 0.5, 0.25))
    assert read(CLASSIFICATION, tmp_path, EXTRACTOR) == expected
    renamed = CLASSIFICATION.replace("PreProcess:", "RecPreProcess:")
    assert read(renamed, tmp_path, EXTRACTOR) == expected, "as in PP-ShiTu's configuration for both networks"


def test_paddlex(tmp_path: Path) -> None:
    expected = Preparation("bilinear", 256, 192, 0.00392157, IMAGENET_MEAN, IMAGENET_STD)
    assert read(PADDLEX, tmp_path, EXTRACTOR) == expected


def test_pp_shitu_s_own_values() -> None:
    """PaddleClas, `deploy/configs/inference_general.yaml`."""
    assert read_preparation(None, DETECTOR) is DETECTOR
    assert Preparation("cubic", None, None, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) == DETECTOR
    assert Preparation("bilinear", None, None, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) == EXTRACTOR


def test_padding_that_does_nothing(tmp_path: Path) -> None:
    """As in `models/ppshitu/det_mainbody/infer_cfg.yml`: 640 is a multiple of the stride, so that nothing is padded."""
    text = steps(
        {**RESIZE, "interp": 2, "target_size": [640, 640]}, {"type": "Permute"}, {"type": "PadStride", "stride": 32}
    )
    assert read(text, tmp_path).height == 640


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1.0/255.0", 1 / 255),
        ("1/255", 1 / 255),
        ("1./255.", 1 / 255),
        (0.00392157, 0.00392157),
        ("0.5", 0.5),
        (1, 1.0),
    ],
)
def test_scale(tmp_path: Path, written: Any, expected: float) -> None:
    found = read(steps(RESIZE, {"type": "NormalizeImage", "scale": written}), tmp_path)
    assert found.scale == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("written", ["1/0", "255th", "", "1/2/3", [1]])
def test_a_scale_that_is_no_number(tmp_path: Path, written: Any) -> None:
    with pytest.raises(ModelError, match="a step of pre-processing cannot be read"):
        read(steps(RESIZE, {"type": "NormalizeImage", "scale": written}), tmp_path)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({}, (1 / 255, IMAGENET_MEAN, IMAGENET_STD), id="nothing said"),
        pytest.param({"is_scale": False}, (1.0, IMAGENET_MEAN, IMAGENET_STD), id="not scaled"),
        pytest.param({"norm_type": "none"}, (1 / 255, (0, 0, 0), (1, 1, 1)), id="scaled alone"),
        pytest.param({"norm_type": "none", "is_scale": False}, (1.0, (0, 0, 0), (1, 1, 1)), id="nothing done"),
        pytest.param(
            {"norm_type": "none", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            (1 / 255, (0, 0, 0), (1, 1, 1)),
            id="values that are not used",
        ),
        pytest.param(
            {"norm_type": "mean_std", "mean": [0, 0, 0], "std": [1, 1, 1]}, (1 / 255, (0, 0, 0), (1, 1, 1)), id="given"
        ),
        pytest.param({"scale": None, "mean": ["1/2", 0, 0]}, (1 / 255, (0.5, 0, 0), IMAGENET_STD), id="a fraction"),
    ],
)
def test_normalization(tmp_path: Path, facts: dict[str, Any], expected: Any) -> None:
    found = read(steps(RESIZE, {"type": "NormalizeImage", **facts}), tmp_path)
    assert (found.scale, found.mean, found.std) == expected


def test_what_is_not_mentioned_is_not_done(tmp_path: Path) -> None:
    """A graph may normalize by itself, as PaddleDetection's `fuse_normalize` makes it."""
    found = read(steps(RESIZE, {"type": "Permute"}), tmp_path)
    assert found == Preparation("bilinear", 64, 64, 1.0, (0, 0, 0), (1, 1, 1))
    found = read(steps({"type": "NormalizeImage"}), tmp_path)
    assert (found.resize, found.height, found.width) == ("cubic", None, None), "the size is the graph's"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("interp", 1, "bilinear"),
        ("interp", 2, "cubic"),
        ("interp", "linear", "bilinear"),
        ("interpolation", "bilinear", "bilinear"),
        ("interpolation", "bicubic", "cubic"),
        ("other", 1, "cubic"),
    ],
)
def test_interpolation(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    found = read(steps({"type": "Resize", "target_size": 64, key: value}), tmp_path)
    assert found.resize == expected


@pytest.mark.parametrize("value", [0, 3, 4, "nearest", "lanczos"])
def test_other_interpolations_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ModelError, match=rf"resizes by interpolation {value!r}; the runtime knows bilinear \(1\) and"):
        read(steps({"type": "Resize", "target_size": 64, "interp": value}), tmp_path)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"target_size": 64}, (64, 64)),
        ({"size": [32, 48]}, (48, 32)),
        ({"target_size": [32, 48]}, (32, 48)),
        ({}, (None, None)),
    ],
)
def test_sides(tmp_path: Path, facts: dict[str, Any], expected: tuple[int, int]) -> None:
    found = read(steps({"type": "Resize", **facts}), tmp_path)
    assert (found.height, found.width) == expected


@pytest.mark.parametrize(
    "facts", [{"keep_ratio": True}, {"resize_short": 256}, {"resize_short": 256, "size": 224}], ids=str
)
def test_the_aspect_ratio_is_not_kept(tmp_path: Path, facts: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"inference\.yml: resizes with the aspect ratio kept; .*keep_ratio: false"):
        read(steps({"type": "Resize", **facts}), tmp_path)


@pytest.mark.parametrize("name", ["CropImage", "LetterBoxResize", "Pad", "WarpAffine", "TopDownEvalAffine", "Padding"])
def test_steps_that_the_runtime_does_not_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ModelError, match=rf"inference\.yml: pre-processing by {name} is not among what the runtime does"
    ):
        read(steps(RESIZE, {"type": name, "size": 224}), tmp_path)
    text = yaml.safe_dump({"PreProcess": {"transform_ops": [{"ResizeImage": {"size": 224}}, {name: {"size": 224}}]}})
    with pytest.raises(
        ModelError, match=rf"inference\.yml: pre-processing by {name} is not among what the runtime does"
    ):
        read(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "# nothing",
            "null",
            "3",
            "text",
            "[]",
            "{}",
            "a: 1",
            "Preprocess: 3",
            "Preprocess: []",
            "Preprocess: {}",
        ),
        *("PreProcess: 3", "PreProcess: []", "PreProcess: {}", "PreProcess: {transform_ops: []}", "PreProcess: null"),
    ],
)
def test_nothing_about_pre_processing(tmp_path: Path, text: str) -> None:
    assert read(text, tmp_path) is DETECTOR


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"a: [1",
        b"\t- a",
        b"\xff\xfe\x00",
        b"\x00\x01\x02",
        bytes(range(256)),
        b"a: b: c",
        b"!!python/object:os.system {}",
    ],
    ids=repr,
)
def test_not_yaml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "inference.yml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"inference\.yml: is not YAML: ") as caught:
        read_preparation(path, DETECTOR)
    assert "\n" not in str(caught.value)


BROKEN = [
    "Preprocess: [{type: Resize, target_size: [1, 2, 3]}]",
    "Preprocess: [{type: Resize, target_size: text}]",
    "Preprocess: [{type: NormalizeImage, mean: 3}]",
    "Preprocess: [{type: NormalizeImage, mean: [1, 2]}]",
    "Preprocess: [{type: NormalizeImage, std: [a, b, c]}]",
    "PreProcess: {transform_ops: [{ResizeImage: {interpolation: [1]}}]}",
    "Preprocess: [{type: Resize, target_size: 0.5}]",
    "Preprocess: [{target_size: 64}]",
    "PreProcess: {transform_ops: 3}",
    "PreProcess: {transform_ops: [{NormalizeImage: 3}]}",
    "PreProcess: {transform_ops: [{ResizeImage: text}]}",
    "Preprocess: [{type: Resize, target_size: [a, b]}]",
    "Preprocess: [{type: Resize, target_size: -1}]",
    "Preprocess: [{type: NormalizeImage, std: [0, 1, 1]}]",
    "Preprocess: [{type: NormalizeImage, scale: .nan}]",
]


@pytest.mark.parametrize(
    "text",
    BROKEN,
)
def test_steps_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelError, match=r"inference\.yml: ") as caught:
        read(text, tmp_path)
    assert "\n" not in str(caught.value)


def test_what_would_grow_or_never_end(tmp_path: Path) -> None:
    path = tmp_path / "inference.yml"
    doubling = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))
    for content, reason in ((doubling, "merges mappings"), ("[" * 5000 + "]" * 5000, "is nested too deeply")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match=rf"inference\.yml: {reason}"):
            read_preparation(path, DETECTOR)
    os.truncate(path, 1 << 36)
    with pytest.raises(ModelError, match=r"inference\.yml: cannot be read: is larger than"):
        read_preparation(path, DETECTOR)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match=r"inference\.yml: cannot be read: is a pipe"):
        read_preparation(path, DETECTOR)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.yml: cannot be read: No such file"):
        read_preparation(tmp_path / "absent.yml", DETECTOR)
    with pytest.raises(ModelError, match="cannot be read: is a folder"):
        read_preparation(tmp_path, DETECTOR)
