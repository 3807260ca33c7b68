"""Builds the networks of `paddle_networks.py` in Paddle and exports them; a process of its own, for Paddle's sake.

    FLAGS_enable_pir_api=0|1 python paddle_worker_networks.py REQUEST.json

The request is a list of networks' facts, each with its `folder`. With the flag 0 the export is `inference.pdmodel`,
with 1 `inference.json`. Weights are seeded by the network's name, so both formats hold the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn
from paddle.base.layer_helper import LayerHelper
from paddle.static import InputSpec

Facts = dict[str, Any]

WIDTH = 16
DROP_OF_BINS = 0.7
"""How much less likely each bin is than the one before: boxes stay within the image."""
CONFIDENT = 24
"""(cell, class) pairs of a calibration image that score above 0.5."""


def multiclass_nms(boxes: Any, scores: Any, facts: Facts) -> tuple[Any, Any]:
    """Suppress as PaddleDetection's `multiclass_nms` does; its attributes are those of its PicoDet configurations."""
    limits = {
        "score_threshold": facts["score_threshold"],
        "nms_top_k": facts["nms_top_k"],
        "keep_top_k": facts["keep_top_k"],
        "nms_threshold": facts["iou"],
        "normalized": True,
        "nms_eta": 1.0,
        "background_label": -1,
    }
    if paddle.framework.in_pir_mode():
        rows, _, count = paddle._C_ops.multiclass_nms3(boxes, scores, None, *limits.values())
        return rows, count
    helper = LayerHelper("multiclass_nms3")
    rows, index, count = (helper.create_variable_for_type_inference(dtype=t) for t in ("float32", "int32", "int32"))
    helper.append_op(
        type="multiclass_nms3",
        inputs={"BBoxes": boxes, "Scores": scores},
        attrs=limits,
        outputs={"Out": rows, "Index": index, "NmsRoisNum": count},
    )
    rows.stop_gradient = True
    return rows, count


class Block(nn.Layer):
    """Convolution, batch norm, activation; separable after the first."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        separable = channels == WIDTH
        groups = channels if separable else 1
        self.conv = nn.Conv2D(channels, WIDTH, 3, stride, 1, groups=groups, bias_attr=False)
        self.point = nn.Conv2D(WIDTH, WIDTH, 1, bias_attr=False) if separable else None
        self.norm = nn.BatchNorm2D(WIDTH)

    def forward(self, x: Any) -> Any:
        x = self.conv(x)
        if self.point is not None:
            x = self.point(x)
        return F.hardswish(self.norm(x))


class PicoDet(nn.Layer):
    """A backbone with a head whose last convolution all levels share, and what an export of the given kind adds."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts
        self.strides, self.classes, self.bins = facts["strides"], facts["classes"], facts["reg_max"] + 1
        first = self.strides[0].bit_length() - 1
        self.stem = nn.Sequential(Block(3, 2), *(Block(WIDTH, 2) for _ in range(first - 1)))
        self.stages = nn.LayerList([Block(WIDTH, 2) for _ in self.strides[1:]])
        count = 1 if facts["shared"] == "all" else len(self.strides)
        self.features = nn.LayerList([Block(WIDTH, 1) for _ in range(count)])
        if facts["shared"] == "convolutions":
            for feature in self.features[1:]:
                feature.conv, feature.point = self.features[0].conv, self.features[0].point
        self.last = nn.Conv2D(WIDTH, self.classes + 4 * self.bins, 1)
        self.register_buffer("project", paddle.arange(self.bins, dtype="float32"))
        if facts["kind"] in ("boxes", "nms") and not facts["dynamic"]:
            self.register_buffer("anchors", paddle.to_tensor(self.fixed_anchors()))
            reach = [(stride, self.cells(stride)) for stride in self.strides]
            pitches = np.concatenate([np.full((cells, 1), stride, np.float32) for stride, cells in reach])
            self.register_buffer("pitches", paddle.to_tensor(pitches))

    def cells(self, stride: int) -> int:
        return int(-(-self.facts["height"] // stride) * -(-self.facts["width"] // stride))

    def fixed_anchors(self) -> NDArray[np.float32]:
        """Return the cells' centers in units of their stride, (M, 2)."""
        grids = []
        for stride in self.strides:
            rows, columns = -(-self.facts["height"] // stride), -(-self.facts["width"] // stride)
            y, x = np.mgrid[:rows, :columns]
            grids.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        return np.concatenate(grids).astype(np.float32) + np.float32(0.5)

    def levels(self, image: Any) -> list[Any]:
        x = self.stem(image)
        found = [x]
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        features = list(self.features) * len(found) if len(self.features) == 1 else self.features
        return [self.last(feature(level)) for feature, level in zip(features, found)]  # noqa: B905 - to_static has its own

    def distances_of(self, logits: Any) -> Any:
        """Return expected distances in units of the stride of (..., 4 * bins) logits, one to a row."""
        shares = F.softmax(logits.reshape([-1, self.bins]), axis=1)
        return F.linear(shares, self.project).reshape([-1, 4])

    def forward_raw(self, image: Any) -> list[Any]:
        """Answer scores (N, M, C) of all levels, then distributions (N, M, 4 * bins) of all levels."""
        scores, distances = [], []
        for level in self.levels(image):
            score, logits = paddle.split(level, [self.classes, 4 * self.bins], axis=1)
            scores.append(F.sigmoid(score.flatten(2).transpose([0, 2, 1])))
            distances.append(logits.flatten(2).transpose([0, 2, 1]))
        return scores + distances

    def decode(self, image: Any) -> tuple[Any, Any]:
        """Return boxes (N, M, 4) in pixels of the input and scores (N, C, M), as PicoHead of PaddleDetection 2.6."""
        boxes, scores = [], []
        start = 0
        for stride, level in zip(self.strides, self.levels(image)):  # noqa: B905 - to_static has its own
            score, logits = paddle.split(level, [self.classes, 4 * self.bins], axis=1)
            logits = logits.transpose([0, 2, 3, 1])
            if self.facts["dynamic"]:
                anchors = self.centers(paddle.shape(level)[2], paddle.shape(level)[3])
                scores.append(F.sigmoid(score.transpose([0, 2, 3, 1]).flatten(1, 2)).transpose([0, 2, 1]))
                cells = paddle.shape(anchors)[0]
            else:
                cells = self.cells(stride)
                anchors = self.anchors[start : start + cells]
                start += cells
                scores.append(F.sigmoid(score.reshape([-1, self.classes, cells])))
            reach = self.distances_of(logits).reshape([-1, cells, 4])
            corners = paddle.concat([anchors - reach[:, :, :2], anchors + reach[:, :, 2:]], axis=-1)
            boxes.append(corners * stride)
        return paddle.concat(boxes, axis=1), paddle.concat(scores, axis=-1)

    def centers(self, rows: Any, columns: Any) -> Any:
        y, x = paddle.meshgrid(
            paddle.arange(rows, dtype="float32") + 0.5, paddle.arange(columns, dtype="float32") + 0.5
        )
        return paddle.stack([x.flatten(), y.flatten()], axis=-1)

    def forward_boxes(self, image: Any) -> tuple[Any, Any]:
        return self.decode(image)

    def forward_nms(self, image: Any, scale_factor: Any) -> tuple[Any, Any]:
        boxes, scores = self.decode(image)
        y, x = paddle.split(scale_factor, 2, axis=-1)
        scale = paddle.concat([x, y, x, y], axis=-1).reshape([-1, 1, 4])
        return multiclass_nms(boxes / scale, scores, self.facts)

    def forward_while(self, image: Any, im_shape: Any, scale_factor: Any) -> tuple[Any, Any]:
        """Decode image by image in a loop with branches, as PaddleDetection 2.3 and the official graph do."""
        scores, distances = [], []
        for level in self.levels(image):
            score, logits = paddle.split(level, [self.classes, 4 * self.bins], axis=1)
            scores.append(F.sigmoid(score.transpose([0, 2, 3, 1])))
            distances.append(logits.transpose([0, 2, 3, 1]))
        all_boxes, all_scores = [], []
        for number in range(paddle.shape(scores[0])[0]):
            boxes, kept = self.decode_one(
                [score[number] for score in scores],
                [distance[number] for distance in distances],
                im_shape[number],
                scale_factor[number],
            )
            all_boxes.append(boxes)
            all_scores.append(kept)
        return multiclass_nms(paddle.stack(all_boxes), paddle.stack(all_scores), self.facts)

    def decode_one(self, scores: list[Any], distances: list[Any], im_shape: Any, scale_factor: Any) -> tuple[Any, Any]:
        boxes, kept = [], []
        for stride, score, logits in zip(self.strides, scores, distances):  # noqa: B905 - to_static has its own
            points = self.centers(paddle.shape(score)[0], paddle.shape(score)[1]) * stride
            flat = score.reshape([-1, self.classes])
            reach = self.distances_of(logits) * stride
            if paddle.shape(flat)[0] > self.facts["pre_nms_top_k"]:
                _, best = flat.max(axis=1).topk(self.facts["pre_nms_top_k"])
                points, reach, flat = paddle.gather(points, best), paddle.gather(reach, best), paddle.gather(flat, best)
            x1 = (points[:, 0] - reach[:, 0]).clip(min=0.0, max=im_shape[1])
            y1 = (points[:, 1] - reach[:, 1]).clip(min=0.0, max=im_shape[0])
            x2 = (points[:, 0] + reach[:, 2]).clip(min=0.0, max=im_shape[1])
            y2 = (points[:, 1] + reach[:, 3]).clip(min=0.0, max=im_shape[0])
            boxes.append(paddle.stack([x1, y1, x2, y2], axis=-1))
            kept.append(flat)
        scale = paddle.concat([scale_factor.flip([0]), scale_factor.flip([0])])
        return paddle.concat(boxes) / scale, paddle.concat(kept).transpose([1, 0])


class ExtractorV1(nn.Layer):
    """Like PPLCNet with its fully connected neck: hardswish, average pooling, a last convolution, a matrix."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.body = nn.Sequential(Block(3, 2), Block(WIDTH, 2), Block(WIDTH, 2))
        self.last = nn.Conv2D(WIDTH, 64, 1, bias_attr=False)
        self.neck = nn.Linear(64, facts["dim"])

    def forward(self, x: Any) -> Any:
        x = F.adaptive_avg_pool2d(self.body(x), 1)
        return self.neck(F.hardswish(self.last(x)).flatten(1))


class ExtractorV2(nn.Layer):
    """Like PPLCNetV2 with its batch-norm neck: ReLU, average pooling, a batch norm at the end."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2D(3, WIDTH, 3, 2, 1, bias_attr=False), nn.BatchNorm2D(WIDTH)
        self.second = nn.Conv2D(WIDTH, facts["dim"], 3, 2, 1)
        self.neck = nn.BatchNorm1D(facts["dim"])

    def forward(self, x: Any) -> Any:
        x = F.relu(self.second(F.relu(self.norm(self.first(x)))))
        return self.neck(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Other(nn.Layer):
    """No network of PP-ShiTu: a map of probabilities, or an answer by an op that no converter knows."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.kind = facts["kind"]
        self.body = nn.Sequential(Block(3, 2), Block(WIDTH, 2))
        self.up = nn.Conv2DTranspose(WIDTH, 1, 4, 4)

    def forward_segmentation(self, x: Any) -> Any:
        return F.sigmoid(self.up(self.body(x)))

    def forward_eigvals(self, x: Any) -> Any:
        """Answer a row of 16 numbers, so that it looks like an embedding."""
        row = self.body(x).mean(axis=[2, 3])
        matrix = paddle.matmul(row.unsqueeze(2), row.unsqueeze(1)) + paddle.diag_embed(row)
        return paddle.as_real(paddle.linalg.eigvals(matrix)).abs().sum(axis=-1)


def seed(model: nn.Layer, facts: Facts) -> None:
    """Give a network weights that keep its activations in a normal range, the same on every machine."""
    random = np.random.default_rng(list(facts["name"].encode()))
    for layer in model.sublayers():
        if isinstance(layer, (nn.Conv2D, nn.Conv2DTranspose, nn.Linear)):
            shape = layer.weight.shape
            fan_in = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
            _put(layer.weight, random.normal(0, np.sqrt(2 / fan_in), shape))
            if layer.bias is not None:
                _put(layer.bias, random.normal(0, 0.1, layer.bias.shape))
        elif isinstance(layer, (nn.BatchNorm1D, nn.BatchNorm2D)):
            _put(layer.weight, random.uniform(0.7, 1.3, layer.weight.shape))
            _put(layer.bias, random.normal(0, 0.2, layer.bias.shape))
    model.eval()
    norms = [layer for layer in model.sublayers() if isinstance(layer, (nn.BatchNorm1D, nn.BatchNorm2D))]
    images = paddle.to_tensor(_images(facts["height"], facts["width"], random))
    run = model.levels if isinstance(model, PicoDet) else getattr(model, "body", model)
    for norm in norms:
        norm.training, norm._momentum = True, 0.0
    with paddle.no_grad():
        run(images)
        model.eval()
        if isinstance(model, PicoDet):
            _spread(model, run(images), random)


def _spread(model: PicoDet, levels: list[Any], random: np.random.Generator) -> None:
    """Scale the last layer so that scores fill 0..1, and the bins are peaked moderately."""
    flat = [level.numpy().transpose(0, 2, 3, 1).reshape(len(level), -1, level.shape[1]) for level in levels]
    seen = np.concatenate(flat, axis=1)
    mean, deviation = seen.mean((0, 1)), seen.std((0, 1)) + 1e-6
    is_score = np.arange(seen.shape[2]) < model.classes
    gain = np.where(is_score, 1.5, 1.2) / deviation
    best = np.sort(((seen - mean) * gain)[:, :, : model.classes].reshape(len(seen), -1), axis=1)
    falling = np.tile(-DROP_OF_BINS * np.arange(model.bins), 4)
    target = np.concatenate([np.full(model.classes, -best[:, -CONFIDENT].mean()), falling])
    target += random.normal(0, 0.1, len(target))
    bias = model.last.bias.numpy()
    _put(model.last.weight, model.last.weight.numpy() * gain[:, None, None, None])
    _put(model.last.bias, target - (mean - bias) * gain)


def _images(height: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return normalized images of rectangles on gray, (4, 3, H, W)."""
    images = random.normal(0, 0.2, (4, 3, height, width))
    for image in images:
        for _ in range(6):
            top, left = random.integers(0, height - 16), random.integers(0, width - 16)
            rows, columns = random.integers(8, height // 2), random.integers(8, width // 2)
            image[:, top : top + rows, left : left + columns] += random.uniform(-2, 2, (3, 1, 1))
    return images.astype(np.float32)


def _put(parameter: Any, values: NDArray[np.floating[Any]]) -> None:
    parameter.set_value(np.asarray(values, np.float32))


def _image(facts: Facts, name: str, batch: int | None) -> InputSpec:
    sides = [-1, -1] if facts.get("dynamic") else [facts["height"], facts["width"]]
    return InputSpec([batch, 3, *sides], "float32", name=name)


def _detector(facts: Facts) -> tuple[nn.Layer, Callable[..., Any], list[InputSpec]]:
    model = PicoDet(facts)
    specs = [_image(facts, "image", 1 if facts["kind"] == "raw" else None)]
    if facts["kind"] == "while":
        specs.append(InputSpec([None, 2], "float32", name="im_shape"))
    if facts["kind"] in ("nms", "while"):
        specs.append(InputSpec([None, 2], "float32", name="scale_factor"))
    return model, getattr(model, f"forward_{facts['kind']}"), specs


def _extractor(facts: Facts) -> tuple[nn.Layer, Callable[..., Any], list[InputSpec]]:
    model = {"v1": ExtractorV1, "v2": ExtractorV2}[facts["style"]](facts)
    return model, model.forward, [_image(facts, "x", None)]


def _other(facts: Facts) -> tuple[nn.Layer, Callable[..., Any], list[InputSpec]]:
    model = Other(facts)
    return model, getattr(model, f"forward_{facts['kind']}"), [_image(facts, "x", None)]


_MAKERS = {"Detector": _detector, "Extractor": _extractor, "Other": _other}


def build(requests: Sequence[Facts]) -> None:
    for facts in requests:
        paddle.seed(0)
        with paddle.utils.unique_name.guard():
            model, forward, specs = _MAKERS[facts["what"]](facts)
            seed(model, facts)
            model.forward = forward
            static = paddle.jit.to_static(model, input_spec=specs, full_graph=True)
            paddle.jit.save(static, str(Path(facts["folder"], "inference")))
        Path(facts["folder"], "inference.pdiparams.info").unlink(missing_ok=True)


if __name__ == "__main__":
    build(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
