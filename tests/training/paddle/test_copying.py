"""Names of both sides meet, and nothing is left over on either."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from training.paddle.copying import copy_weights
from training.paddle.parcel import Kind


@dataclass
class FakeTensor:
    shape: list[int]
    value: Any = None

    def set_value(self, value: Any) -> None:
        self.value = value


@dataclass
class FakeLayer:
    tensors: dict[str, FakeTensor] = field(default_factory=dict)

    def state_dict(self) -> dict[str, FakeTensor]:
        return self.tensors


def layer(*names: str) -> FakeLayer:
    return FakeLayer({name: FakeTensor([2]) for name in names})


@pytest.mark.parametrize(
    ("kind", "name", "paddle_name"),
    [
        ("extractor", "last_conv.bias", "backbone.last_conv.bias"),
        ("extractor", "neck.running_mean", "neck.feat_bn._mean"),
        ("extractor", "backbone.blocks2.0.dw_conv.bn.running_var", "backbone.blocks2.0.dw_conv.bn._variance"),
        ("detector", "head.conv_feat.cls_conv_dw3_1.conv.weight", "head.conv_feat.cls_conv_dw3.1.conv.weight"),
        ("detector", "neck.first_top_conv.bn1.running_mean", "neck.first_top_conv.bn1._mean"),
    ],
)
def test_names(kind: Kind, name: str, paddle_name: str) -> None:
    target = layer(paddle_name)
    copy_weights(kind, target, {name: np.array([1, 2], np.float32)})
    assert target.tensors[paddle_name].value.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("extractor", "backbone.stages.2.5.dw_conv.bias"), ("detector", "head.distribution_project.project")],
)
def test_what_the_layer_makes_itself_is_left(kind: Kind, name: str) -> None:
    target = layer(name)
    copy_weights(kind, target, {})
    assert target.tensors[name].value is None


def test_one_side_has_what_the_other_lacks() -> None:
    target = layer("neck.a", "neck.b")
    with pytest.raises(ValueError, match=r"neck\.b \(only in Paddle\), neck\.c \(only in PyTorch\)"):
        copy_weights("detector", target, {"neck.a": np.zeros(2, np.float32), "neck.c": np.zeros(2, np.float32)})
    assert all(tensor.value is None for tensor in target.tensors.values())


def test_another_shape() -> None:
    target = layer("neck.a", "neck.b")
    weights = {"neck.a": np.zeros(2, np.float32), "neck.b": np.zeros((2, 1), np.float32)}
    with pytest.raises(ValueError, match=r"neck\.b: expected \(2,\) as in Paddle, found \(2, 1\)"):
        copy_weights("detector", target, weights)
    assert target.tensors["neck.a"].value is None
