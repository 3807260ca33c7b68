"""PyTorch's side: the weights of a checkpoint, with answers to compare with, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checkpoint import save_checkpoint
from ..detector.photos import read_rgb
from ..detector.train import CHECKPOINT as DETECTOR_CHECKPOINT
from ..detector.train import load_detector
from ..extractor.train import CHECKPOINT as EXTRACTOR_CHECKPOINT
from ..extractor.train import load_extractor
from ..extractor.views import normalize
from ..networks.extractor import Extractor
from ..networks.picodet import HeadOutputs, PicoDet, PicoDetConfig
from .copying import paddle_name
from .parcel import Kind, Parcel, read_weights

_GRAINS = (4, 16, 48, None)
_COUNTER = "num_batches_tracked"
"""A batch norm's counter: of use to training alone, and unknown to Paddle."""


def export_weights(
    kind: Kind, checkpoint: Path, out: Path, height: int, width: int, pictures: Sequence[Path] = ()
) -> Parcel:
    """Write a checkpoint's weights as a parcel for Paddle.

    Args:
        kind: `extractor` or `detector`.
        checkpoint: of `train_extractor` or `train_detector`.
        out: folder of the parcel.
        height, width: of the network's input, in pixels.
        images: files to compare the networks on, beside drawn noise.

    Raises:
        ValueError: the checkpoint is none of that kind, or an image cannot be decoded.
    """
    resize = cv2.INTER_LINEAR if kind == "extractor" else cv2.INTER_CUBIC  # as the runtime resizes
    photos = [cv2.resize(read_rgb(path), (width, height), interpolation=resize) for path in pictures]
    pixels = torch.from_numpy(np.stack([*_noise(height, width), *photos])).permute(0, 3, 1, 2)
    images = normalize(pixels.float()).contiguous()
    network: Extractor | PicoDet
    if kind == "extractor":
        network = extractor = load_extractor(checkpoint)
        facts = extractor.facts
    else:
        network = detector = load_detector(checkpoint)
        facts = asdict(detector.config)
    weights = {name: value.clone() for name, value in network.state_dict().items() if not name.endswith(_COUNTER)}
    rounded = _answers(network, images)
    answers = _answers(network.double(), images.double())
    rounding = {name: (rounded[name] - value).abs().flatten(1).amax(1) for name, value in answers.items()}
    parcel = Parcel(
        kind=kind,
        facts=facts,
        pictures=[f"noise of {grain or width} blocks a row" for grain in _GRAINS] + [path.name for path in pictures],
        made_with={"torch": torch.__version__},
        weights=_arrays(weights),
        images=images.numpy(),
        answers=_arrays(answers),
        rounding=_arrays(rounding),
    )
    parcel.write(out)
    return parcel


def import_weights(kind: Kind, parcel: Path, out: Path) -> None:
    """Write a checkpoint of a network that came back from Paddle (`take_back`), to start a training from.

    Args:
        kind: `extractor` or `detector`.
        parcel: folder of weights by Paddle's names.
        out: folder for the checkpoint.

    Raises:
        ValueError: the folder holds no such weights, or they do not fit what they are said to be built for.
    """
    given, told = read_weights(parcel, kind)
    facts = told["facts"]
    network: Extractor | PicoDet
    if kind == "extractor":
        network = extractor = Extractor.of(facts)
        described = {"options": extractor.facts}
    else:
        config = PicoDetConfig(**facts)
        network = PicoDet(config)
        described = {"config": asdict(config)}
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith(_COUNTER):
            continue
        found = given.get(paddle_name(kind, name))
        if found is None or found.shape != value.shape:
            held = "none" if found is None else found.shape
            raise ValueError(f"{parcel}: {name}: expected weights of shape {tuple(value.shape)}, found {held}")
        value.copy_(torch.from_numpy(found))
    out.mkdir(parents=True, exist_ok=True)
    name = EXTRACTOR_CHECKPOINT if kind == "extractor" else DETECTOR_CHECKPOINT
    save_checkpoint(out / name, {"kind": kind, **described, "network": state})


def _noise(height: int, width: int) -> list[NDArray[np.uint8]]:
    """Return images (height, width, 3) of colored blocks, from a few large ones to one each pixel."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 256, (grain or height, grain or width, 3), np.uint8) for grain in _GRAINS]
    return [cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST) for blocks in drawn]


@torch.no_grad()
def _answers(network: Extractor | PicoDet, images: Tensor) -> dict[str, Tensor]:
    """Return `Parcel.answers`, in the precision of network and images."""
    if isinstance(network, Extractor):
        return {"embedding": network(images)}
    outputs: HeadOutputs = network(images)
    scores = [logits.sigmoid().flatten(1) for logits in outputs.logits]
    distances = [bins.flatten(2).transpose(1, 2) for bins in outputs.bins]
    return {"scores": torch.cat(scores, 1), "distances": torch.cat(distances, 1)}


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: value.float().contiguous().numpy() for name, value in tensors.items()}
