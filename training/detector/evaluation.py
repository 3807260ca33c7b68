"""Average precision of a detector, decoded by the runtime."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from shitu_edge_export.parity import average_precision
from torch import Tensor

from shitu_edge.bundle import DetectorSpec, InputSpec, Network, PicoDetLevels
from shitu_edge.results import Detections
from shitu_edge.stages.detect import decode_head

from ..networks.picodet import STRIDES, HeadOutputs, PicoDet
from .photos import Boxes, Photo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LOWEST_SCORE = 0.01
_NMS_IOU = 0.4
"""As `training.paddle.definitions` has it, which is imported without PyTorch."""
_SCORES, _DISTANCES = (tuple(f"{kind} {stride}" for stride in STRIDES) for kind in ("scores", "distances"))


@torch.inference_mode()
def detect(network: PicoDet, photos: Sequence[Photo], size: int, batch: int = 8) -> list[Detections]:
    """Return what is found in each photo, stretched to `size` × `size` as the runtime does; boxes in its pixels."""
    device = next(network.parameters()).device
    network.eval()
    found = []
    for start in range(0, len(photos), batch):
        part = photos[start : start + batch]
        squares = [cv2.resize(photo.pixels_rgb, (size, size), interpolation=cv2.INTER_CUBIC) for photo in part]
        images = normalize(torch.from_numpy(np.stack(squares)).to(device))
        for photo, one in zip(part, decode(network(images), size, size), strict=True):
            height, width = photo.pixels_rgb.shape[:2]
            scale = np.array([width, height, width, height], np.float32) / np.float32(size)
            found.append(Detections(one.boxes_xyxy * scale, one.scores, one.class_ids))
    return found


def normalize(images: Tensor) -> Tensor:
    """Turn images (N, H, W, 3) uint8 RGB into the network's input (N, 3, H, W) float32, channels last in memory."""
    mean = torch.tensor(MEAN, device=images.device) * 255
    std = torch.tensor(STD, device=images.device) * 255
    return ((images - mean) / std).permute(0, 3, 1, 2)


def decode(outputs: HeadOutputs, height: int, width: int) -> list[Detections]:
    """Return what the head's outputs say of each image, in pixels of an input of `height` × `width`."""
    entry = InputSpec("image", height, width, "cubic")
    head = PicoDetLevels("picodet_levels", STRIDES, _SCORES, _DISTANCES, nms_iou=_NMS_IOU)
    spec = DetectorSpec(Network("detector", "", "", {}, entry), head)
    levels = dict(zip(_SCORES, (logits.sigmoid() for logits in outputs.logits), strict=True))
    levels |= dict(zip(_DISTANCES, outputs.bins, strict=True))
    arrays = {name: level.float().permute(0, 2, 3, 1).cpu().numpy() for name, level in levels.items()}
    images = ({name: array[n : n + 1] for name, array in arrays.items()} for n in range(len(outputs.logits[0])))
    return [Detections(*decode_head(spec, image, _LOWEST_SCORE)) for image in images]


def evaluate_ap(detections: Sequence[Detections], boxes: Sequence[Boxes]) -> float:
    """Return the AP50, 0..1, of each image's detections against the boxes (M, 4) that are really there.

    Raises:
        ValueError: there is not a single box.
    """
    found = average_precision(list(zip(boxes, detections, strict=True)))
    if found is None:
        raise ValueError("evaluate_ap: expected at least one box, found none")
    return found
