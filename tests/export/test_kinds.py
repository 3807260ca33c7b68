"""What networks are taken for: PicoDets in every variant and format, extractors, and what only looks like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from shitu_edge_export.cut import describe_head
from shitu_edge_export.errors import ModelError
from shitu_edge_export.graph import Graph, Op, Tensor
from shitu_edge_export.kinds import Extractor, Other, PicoDet, Suppression, recognize

from .programs import FORMATS, PADDLE_FORMATS, Format, Net, Pico, called, extractor, write_and_open

POST_PROCESSED = "PicoDet with post-processing in the graph"
DECODED = "PicoDet with boxes decoded, without NMS"
RAW = "PicoDet, raw head"

VARIANTS = {
    "raw, flat": Pico(end="raw", batch=1),
    "raw, grids": Pico(end="raw", grids=True, scores="sigmoid", batch=1),
    "raw, scores before they are turned": Pico(end="raw", grids=True, scores="flat", batch=1),
    "decoded": Pico(end="boxes"),
    "decoded, one stride": Pico(end="boxes", strides=(32,)),
    "NMS": Pico(),
    "NMS, scores turned": Pico(scores="sigmoid"),
    "NMS, scores by one sigmoid": Pico(scores="flat"),
    "NMS, quality of bins": Pico(scores="quality"),
    "NMS, clipped": Pico(clip=True),
    "NMS, strides in another order": Pico(strides=(32, 8, 16)),
    "NMS, one class, four strides": Pico(classes=1, strides=(4, 8, 16, 32)),
    "NMS, 17 bins": Pico(reg_max=16, side=32, strides=(8, 16)),
    "NMS, best anchors alone": Pico(scores="sigmoid", top_k=20),
    "NMS, attention in the backbone": Pico(attention=True),
}
CASES = [
    pytest.param(pico, file_format, id=f"{name}, {file_format}")
    for name, pico in VARIANTS.items()
    for file_format in FORMATS
]


def found_in(net: Net, folder: Path, file_format: Format) -> PicoDet | Extractor | Other:
    return recognize(write_and_open(net, folder, file_format))


def picodet(net: Net, folder: Path, file_format: Format) -> PicoDet:
    found = found_in(net, folder, file_format)
    assert isinstance(found, PicoDet), found
    return found


@pytest.mark.parametrize(("pico", "file_format"), CASES)
def test_a_picodet_in_every_format(tmp_path: Path, pico: Pico, file_format: Format) -> None:
    net, scores, distances = pico.build()
    found, name = picodet(net, tmp_path, file_format), called(net, file_format)
    assert found.kind == {"raw": RAW, "boxes": DECODED, "nms": POST_PROCESSED}[pico.end]
    assert found.image == name("image")
    assert found.scores == tuple(map(name, scores))
    assert found.distances == tuple(map(name, distances))
    assert found.projection == (() if pico.end == "raw" else tuple(range(pico.reg_max + 1)))
    assert found.decodes == (pico.end != "raw")
    assert not found.control_flow
    assert found.clips == (pico.clip or pico.end == "raw")
    assert (found.suppression is not None) == (pico.end == "nms")
    if found.suppression:
        figures = replace(found.suppression, type="", pre_nms_top_k=None)
        assert figures == Suppression("", 0.6, 1000, 100, 0.025, None)
        expected = pico.top_k if file_format != "onnx" else None
        assert found.suppression.pre_nms_top_k == expected


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("scores", ["sigmoid", "flat", "aligned", "quality"])
def test_what_follows_the_head_in_a_loop(
    tmp_path: Path, file_format: Format, clip: bool, scores: Literal["sigmoid", "flat", "aligned", "quality"]
) -> None:
    """As in PP-ShiTu's own detector: a loop that writes into arrays, a branch in it, the best anchors alone."""
    net, ends, distances = Pico(scores=scores, loop=True, clip=clip, top_k=20).build()
    found, name = picodet(net, tmp_path, file_format), called(net, file_format)
    assert found.kind == f"{POST_PROCESSED} (control flow)"
    assert (found.scores, found.distances) == (tuple(map(name, ends)), tuple(map(name, distances)))
    assert found.clips == clip
    assert found.suppression is not None
    assert found.suppression.pre_nms_top_k == 20


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
def test_figures_of_the_suppression(tmp_path: Path, file_format: Format) -> None:
    net, _, _ = Pico(end="boxes").build()
    facts: dict[str, Any] = {"score_threshold": 0.3, "nms_top_k": 250, "keep_top_k": 7, "nms_threshold": 0.45}
    net.outputs = net.suppress(*net.outputs, **facts)
    found = picodet(net, tmp_path, file_format).suppression
    assert found is not None
    assert found.type.endswith("multiclass_nms3")
    assert (found.iou, found.top_k, found.keep_top_k, found.score_threshold) == (0.45, 250, 7, 0.3), (
        "float32 rounded off"
    )


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
def test_matrix_nms_is_a_picodet_that_cannot_be_described(tmp_path: Path, file_format: Format) -> None:
    net, _, _ = Pico(nms="matrix_nms", side=64).build()
    found = picodet(net, tmp_path, file_format)
    assert found.suppression is not None
    assert found.suppression.type.endswith("matrix_nms")
    with pytest.raises(
        ModelError, match="matrix_nms: the runtime suppresses by IoU alone; export the detector with Mul"
    ):
        describe_head(found, [], [], 64, 64)


def test_figures_of_onnx_suppression(tmp_path: Path) -> None:
    net, _, _ = Pico(end="boxes").build()
    net.outputs = net.suppress(*net.outputs, score_threshold=0.125, nms_top_k=250, nms_threshold=0.45)
    expected = Suppression("NonMaxSuppression", 0.45, 250, 100, 0.125, None)
    assert picodet(net, tmp_path, "onnx").suppression == expected


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_search_for_the_best_bins_is_no_limit_of_anchors(tmp_path: Path, file_format: Format) -> None:
    """Top-k inside the head belongs to the head; the one before the suppression counts."""
    inside = picodet(Pico(scores="quality").build()[0], tmp_path / "inside", file_format).suppression
    assert inside is not None
    assert inside.pre_nms_top_k is None
    if file_format != "onnx":
        both = picodet(Pico(scores="quality", top_k=30).build()[0], tmp_path / "both", file_format).suppression
        assert both is not None
        assert both.pre_nms_top_k == 30


ROUNDED = tuple(np.array([0, 1, 2, 3.0003, 4, 4.9999995, 6.0006, 7], np.float32).tolist())


@pytest.mark.parametrize("file_format", FORMATS)
def test_rounded_projections_are_taken_as_they_are(tmp_path: Path, file_format: Format) -> None:
    found = picodet(Pico(project=ROUNDED).build()[0], tmp_path, file_format)
    assert found.projection == ROUNDED


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    "project", [(0, 1, 2, 3.02, 4, 5, 6, 7), (1,) * 8, (1, 2, 3, 4, 5, 6, 7, 8), (7, 6, 5, 4, 3, 2, 1, 0)]
)
def test_other_constants_are_no_distances(tmp_path: Path, file_format: Format, project: tuple[float, ...]) -> None:
    """An attention multiplies its softmax with something else than 0, 1, 2, ..."""
    assert not isinstance(found_in(Pico(project=project).build()[0], tmp_path, file_format), PicoDet)


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_attention_is_no_head(tmp_path: Path, file_format: Format) -> None:
    """Its softmax is multiplied with trained numbers."""
    net = Net()
    attended = net.attend(net.conv(net.input("image", 1, 3, 16, 16), 4, 4))
    net.outputs = [net.same("sigmoid", attended), attended]
    assert recognize_decoding(net, tmp_path, file_format) is None


def recognize_decoding(net: Net, folder: Path, file_format: Format) -> tuple[float, ...] | None:
    """Return the projection of what is taken for a PicoDet that decodes boxes."""
    found = found_in(net, folder, file_format)
    return found.projection if isinstance(found, PicoDet) and found.decodes else None


@pytest.mark.parametrize("file_format", FORMATS)
def test_bins_that_are_not_last_are_another_detector(tmp_path: Path, file_format: Format) -> None:
    """PP-YOLOE turns its distributions to (N, bins, anchors, 4) and multiplies them by a convolution."""
    net = Net()
    image, bins = net.input("image", 1, 3, 64, 64), 17
    tables, boxes = [], []
    for stride in (16, 32):
        feature = net.same("relu", net.conv(image, 4, stride))
        cells = (64 // stride) ** 2
        tables.append(net.reshape(net.same("sigmoid", net.conv(feature, 3)), 1, 3, cells))
        sides = net.transpose(net.reshape(net.conv(feature, 4 * bins), 1, 4, bins, cells), 0, 2, 3, 1)
        project = net.constant(np.arange(bins).reshape(1, bins, 1, 1))
        spread = net.same("softmax", sides, axis=1)
        mean = net.add_node("conv2d", [spread, project], (1, 1, cells, 4), stride=1)
        boxes.append(net.reshape(mean, 1, cells, 4))
    net.outputs = net.suppress(net.concat(boxes, 1), net.concat(tables, 2))
    found = found_in(net, tmp_path, file_format)
    assert found == Other("other: a detector, but no PicoDet")


@pytest.mark.parametrize("file_format", FORMATS)
def test_rows_of_boxes_are_no_embedding(tmp_path: Path, file_format: Format) -> None:
    """An image in, (N, 6) out: a YOLO with its suppression, or a PicoDet of another make."""
    net, _, _ = Pico(project=(1,) * 8).build()
    del net.outputs[1:]
    assert isinstance(found_in(net, tmp_path, file_format), Other)


@pytest.mark.parametrize(("pico", "file_format"), [case for case in CASES if "quality" not in str(case.id)])
@pytest.mark.parametrize("seed", [1, 2])
def test_names_do_not_matter(tmp_path: Path, pico: Pico, file_format: Format, seed: int) -> None:
    """With every value and parameter renamed, the answer is the same but for the names."""
    net, _, _ = pico.build()
    before = picodet(net, tmp_path / "before", file_format)
    other, new = net.shuffled(seed)
    after = picodet(other, tmp_path / "after", file_format)
    old_name, new_name = called(net, file_format), called(other, file_format)
    renamed = {old_name(name): new_name(new[name]) for name in net.shapes}
    assert after == replace(
        before,
        image=renamed[before.image],
        scores=tuple(renamed[name] for name in before.scores),
        distances=tuple(renamed[name] for name in before.distances),
    )


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_names_in_loops_do_not_matter(tmp_path: Path, file_format: Format, seed: int) -> None:
    net, scores, distances = Pico(scores="sigmoid", loop=True, top_k=20).build()
    other, new = net.shuffled(seed)
    found, name = picodet(other, tmp_path, file_format), called(other, file_format)
    assert found.scores == tuple(name(new[one]) for one in scores)
    assert found.distances == tuple(name(new[one]) for one in distances)


KINDS = {
    "V1": "extractor V1 (PPLCNet, fully connected neck)",
    "V2": "extractor V2 (PPLCNetV2, batch-norm neck)",
    "other": "extractor",
}


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("version", ["V1", "V2", "other"])
@pytest.mark.parametrize("dim", [2, 512])
def test_extractors(tmp_path: Path, file_format: Format, version: Literal["V1", "V2", "other"], dim: int) -> None:
    net = extractor(version, dim)
    found, name = found_in(net, tmp_path, file_format), called(net, file_format)
    assert found == Extractor(name("x"), name(net.outputs[0]), dim, KINDS[version])


def head_less(*outputs: tuple[int, ...], side: int = 16, channels: int = 3, batch: int = -1) -> Net:
    """Return a network of one convolution whose result is reshaped to some outputs."""
    net = Net()
    x = net.conv(net.input("x", batch, channels, side, side), 4, 4)
    net.outputs = [net.reshape(net.same("relu", x), *shape) for shape in outputs]
    return net


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    ("net", "expected"),
    [
        pytest.param(head_less((1, 64, 1, 1)), 64, id="a row with dimensions of 1 behind it"),
        pytest.param(head_less((1, 1)), None, id="one number"),
        pytest.param(head_less((1, 4, 4, 4)), None, id="a map"),
        pytest.param(head_less((64,)), None, id="no batch"),
        pytest.param(head_less((1, 64), (1, 64)), None, id="two rows"),
    ],
)
def test_one_row_of_numbers_is_an_extractor(
    tmp_path: Path, file_format: Format, net: Net, expected: int | None
) -> None:
    found = found_in(net, tmp_path, file_format)
    assert (found.dim if isinstance(found, Extractor) else None) == expected


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("channels", [1, 4])
def test_no_images(tmp_path: Path, file_format: Format, channels: int) -> None:
    found = found_in(head_less((1, 64), channels=channels), tmp_path, file_format)
    assert found == Other("other: no input of images (N, 3, H, W)")


@pytest.mark.parametrize("file_format", FORMATS)
def test_two_images(tmp_path: Path, file_format: Format) -> None:
    """A siamese network has no one input of images."""
    net = Net()
    both = [net.conv(net.input(name, -1, 3, 16, 16), 4, 16) for name in ("left", "right")]
    net.outputs = [net.flatten(net.same("add", *both))]
    assert isinstance(found_in(net, tmp_path, file_format), Other)


@pytest.mark.parametrize("file_format", FORMATS)
def test_scores_and_distances_in_unequal_numbers(tmp_path: Path, file_format: Format) -> None:
    net, _, _ = Pico(end="raw", batch=1).build()
    del net.outputs[-1]
    assert isinstance(found_in(net, tmp_path, file_format), Other)


@pytest.mark.parametrize("file_format", FORMATS)
def test_levels_with_different_projections(tmp_path: Path, file_format: Format) -> None:
    """One part cannot be read with two sets of distances."""
    net, _, _ = Pico(end="boxes", strides=(16, 32)).build()
    other = net.constant(ROUNDED)
    last = [node for node in net.nodes if node.kind == "matmul"][-1]
    net.nodes[net.nodes.index(last)] = replace(last, inputs=(last.inputs[0], other))
    assert isinstance(found_in(net, tmp_path, file_format), Other)


class Weightless:
    """A graph of these ops alone."""

    def __init__(self, ops: Sequence[Op], shapes: dict[str, tuple[int, ...]], outputs: Sequence[str]) -> None:
        tensors = {name: Tensor(shape, "float32") for name, shape in shapes.items()}
        self.graph = Graph(("x",), ("x",), tuple(outputs), frozenset({"p"}), tuple(ops), tensors)

    def array(self, _name: str) -> Any:
        return np.arange(8, dtype=np.float32)


def op(kind: str, inputs: Sequence[str], output: str, **facts: Any) -> Op:
    return Op(kind, kind, tuple(inputs), (output,), facts)


def test_a_value_that_a_loop_only_moves(tmp_path: Path) -> None:
    """In a `.pdmodel` a loop's variable is overwritten: `h = reshape(h)` makes h of itself, and h is multiplied."""
    ops = [
        op("assign", ["x"], "h"),
        op("matmul", ["h", "p"], "y"),
        Op("reshape", "reshape2", ("h",), ("g",), {}, 1),
        Op("assign", "assign", ("g",), ("h",), {}, 1),
    ]
    shapes = {"x": (-1, 3, 8, 8), "p": (8,), "y": (-1, 3, 8)}
    assert isinstance(recognize(Weightless(ops, shapes, ["y"])), Other)


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
@pytest.mark.parametrize("missing", ["score_threshold", "nms_top_k", "keep_top_k"])
def test_a_suppression_without_a_setting(tmp_path: Path, file_format: Format, missing: str) -> None:
    """As a damaged file may have it; reading it gives a graph, so that this is the place to refuse it or to go on."""
    net, _, _ = Pico().build()
    last = net.nodes[-1]
    net.nodes[-1] = replace(last, facts={key: value for key, value in last.facts.items() if key != missing})
    found_in(net, tmp_path, file_format)
