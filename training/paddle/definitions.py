"""The networks as PaddleClas 2.6 and PaddleDetection 2.6 define them.

Both packages import all of what they can do, down to trackers and video readers, when any part is imported. Only the
definitions are wanted here, so the `__init__` of their folders is not run (`_Bare`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

import paddle

_PACKAGES = ("paddleclas", "ppdet")
_V2_DEPTHS = [2, 2, 6, 2]
_STRIDES = [8, 16, 32, 64]
_REG_MAX = 7
_NMS_IOU = 0.4
"""PicoDet's own 0.6 leaves two boxes on a bottle here and there: on held-out photos of bottles and cans AP50 of
`detector-h` (`training/shitu_small`) is 85.2 % at 0.6, 85.3 at 0.5, 85.7 at 0.45 and 86.2 at 0.4."""


class _Bare(MetaPathFinder):
    """Finds the folders of `_PACKAGES` as packages without an `__init__`."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        found = PathFinder.find_spec(name, path) if name.partition(".")[0] in _PACKAGES else None
        if found is None or found.submodule_search_locations is None:
            return found
        bare = ModuleSpec(name, None, is_package=True)
        bare.submodule_search_locations = found.submodule_search_locations
        return bare


@contextmanager
def _definitions_alone() -> Iterator[None]:
    finder = _Bare()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class JoinedStages(paddle.nn.Layer):
    """The layers of PaddleClas' backbone, up to an embedding made of the averages of its last stages.

    Args:
        network: PPLCNet or PPLCNetV2; its layers keep their names.
        first: its layer before the stages.
        stages: its stages, first to last.
        count: how many of the last ones to join.
    """

    def __init__(self, network: Any, first: Any, stages: Sequence[Any], count: int) -> None:
        super().__init__()
        for name, layer in network.named_children():
            if name != "fc":
                self.add_sublayer(name, layer)
        self._count = count
        self._in_order = (first, *stages)  # a tuple, so that Paddle does not take them for layers once more

    def forward(self, x: Any) -> Any:
        """Map images (N, 3, H, W) to embeddings (N, dim)."""
        features = []
        for layer in self._in_order:
            x = layer(x)
            features.append(x)
        averages = paddle.concat([self.avg_pool(feature) for feature in features[-self._count :]], axis=1)
        return paddle.flatten(self.last_conv(averages), 1)


def build_extractor(backbone: str, scale: float, dim: int, last_stride: int, stages: int) -> Any:
    """Build an extractor as PP-ShiTu V2's: backbone, embedding by `last_conv` with bias, batch-norm neck.

    Args:
        backbone, scale, dim, last_stride, stages: as of `training.networks.extractor.Extractor`.

    Returns:
        A Paddle layer: images (N, 3, H, W) to embeddings (N, dim).
    """
    with _definitions_alone():
        from paddleclas.ppcls.arch.backbone.legendary_models.pp_lcnet import PPLCNet
        from paddleclas.ppcls.arch.backbone.legendary_models.pp_lcnet_v2 import PPLCNetV2, RepDepthwiseSeparable
        from paddleclas.ppcls.arch.gears.bnneck import BNNeck
    if backbone == "lcnet":
        network = PPLCNet(scale=scale, class_expand=dim, stride_list=[2, 2, 2, 2, last_stride])
        first = network.conv1
        in_order = [network.blocks2, network.blocks3, network.blocks4, network.blocks5, network.blocks6]
    else:
        network = PPLCNetV2(scale=scale, depths=_V2_DEPTHS, class_expand=dim)

        def unstride(block: Any, _: str) -> Any:
            kept = ("in_channels", "out_channels", "dw_size", "split_pw", "use_rep", "use_se", "use_shortcut")
            return RepDepthwiseSeparable(stride=last_stride, **{name: getattr(block, name) for name in kept})

        network.upgrade_sublayer("stages[3][0]", unstride)
        first, in_order = network.stem, list(network.stages)
    channels = sum(_channels(stage) for stage in in_order[-stages:])
    network.upgrade_sublayer("last_conv", lambda *_: paddle.nn.Conv2D(channels, dim, 1))
    joined = JoinedStages(network, first, in_order, stages)
    return paddle.nn.Sequential(("backbone", joined), ("neck", BNNeck(num_features=dim)))


def _channels(stage: Any) -> int:
    """Return the channels of a stage's output: those of its last batch norm."""
    return [layer for layer in stage.sublayers() if isinstance(layer, paddle.nn.BatchNorm2D)][-1].weight.shape[0]


class Detector(paddle.nn.Layer):
    """PaddleDetection's parts in the order of its `PicoDet`, whose own file needs all other detectors."""

    def __init__(self, backbone: Any, neck: Any, head: Any) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head

    def forward(self, image: Any, scale_factor: Any) -> Any:
        """Map an image (1, 3, H, W) and its scale (1, 2) to rows (M, 6) of class, score and box, and their number."""
        return self.head.post_process(self.head(self.neck(self.backbone({"image": image}))), scale_factor)

    def levels(self, image: Any) -> Any:
        """Return what the head says of an image: per level scores (1, A, 1) and distances (1, A, 4 (REG_MAX + 1))."""
        return self.head(self.neck(self.backbone({"image": image})), export_post_process=False)


def build_detector(scale: float, channels: int, head_convs: int) -> Any:
    """Build a one-class PicoDet as PP-ShiTu's mainbody detector, with its decoding and suppression.

    Args:
        scale, channels, head_convs: as of `training.networks.picodet.PicoDetConfig`.

    Returns:
        A Paddle layer, see `Detector`.
    """
    with _definitions_alone():
        from ppdet.modeling.backbones.lcnet import LCNet
        from ppdet.modeling.heads.pico_head import PicoFeat, PicoHead
        from ppdet.modeling.layers import MultiClassNMS
        from ppdet.modeling.losses.varifocal_loss import VarifocalLoss
        from ppdet.modeling.necks.lc_pan import LCPAN
    backbone = LCNet(scale=scale, feature_maps=[3, 4, 5])
    scales = [1 / stride for stride in _STRIDES[:3]]  # a list of its own: LCPAN appends to it, even to its default
    neck = LCPAN([shape.channels for shape in backbone.out_shape], channels, num_features=4, spatial_scales=scales)
    features = PicoFeat(channels, channels, len(_STRIDES), head_convs, share_cls_reg=True)
    head = PicoHead(
        conv_feat=features,
        num_classes=1,
        fpn_stride=_STRIDES,
        loss_class=VarifocalLoss(use_sigmoid=True),
        reg_max=_REG_MAX,
        feat_in_chan=channels,
        nms=MultiClassNMS(score_threshold=0.025, nms_top_k=1000, keep_top_k=100, nms_threshold=_NMS_IOU),
        cell_offset=0.5,
    )
    return Detector(backbone, neck, head)
