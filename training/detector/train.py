"""The training loop of the detector."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ..checkpoint import load_checkpoint, resume_run, save_run
from ..learning import decay_groups, follow, join_processes, log_line
from ..networks.picodet import PicoDet, PicoDetConfig
from ..progress import Progress
from .batches import Batches
from .evaluation import detect, evaluate_ap, normalize
from .losses import detection_losses
from .options import DetectorOptions, Source
from .photos import Photo, photo_names, read_photos
from .split import split_photos

CHECKPOINT, LOG = "detector.pt", "detector.jsonl"
_WEIGHT_DECAY = 0.05
_GRADIENT_NORM = 10.0


def train_detector(options: DetectorOptions, progress: Progress) -> PicoDet:
    """Train a detector, or go on with an interrupted run; return it with its averaged weights.

    Args:
        options: see there.
        progress: called with the steps done and in all.

    Raises:
        ValueError: a photo, a label or the backbone cannot be used, or the run in `out` was started with other options.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)  # photos are too small for more to pay
    torch.manual_seed(options.seed)
    device, rank, world = join_processes()
    folders, held_out = _read(options.sources)
    network = PicoDet(PicoDetConfig(options.scale, options.channels)).to(device, memory_format=torch.channels_last)
    if options.backbone is not None:
        load_backbone(network, options.backbone)
    if options.initial is not None:
        start_from(network, options.initial)
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(decay_groups(network, _WEIGHT_DECAY), options.learning_rate)
    options.out.mkdir(parents=True, exist_ok=True)
    first = resume_run(options.out / CHECKPOINT, "detector", options.facts(), network, average, optimizer)
    learner = DistributedDataParallel(network) if world > 1 else network
    weights = [source.weight for source in options.sources]
    batches = Batches(folders, weights, options.batch // world, options.sides, options.seed, rank)
    loader = DataLoader(batches, None, sampler=range(first, options.steps), num_workers=options.workers)

    started, seen, sums = time.perf_counter(), first, dict[str, Tensor]()
    for step, (images, boxes, picture) in enumerate(loader, first):
        for group in optimizer.param_groups:
            group["lr"] = options.rate(step)
        losses = _learn(learner.train(), optimizer, (images.to(device), boxes.to(device), picture.to(device)))
        follow(average, network, step)
        sums = {name: sums.get(name, 0) + loss for name, loss in losses.items()}
        done = step + 1
        if rank:
            continue
        progress(done, options.steps)
        if done % options.eval_every == 0 or done == options.steps:
            speed = (done - seen) * options.batch / (time.perf_counter() - started)
            figures = {name: round(float(total) / (done - seen), 4) for name, total in sums.items()}
            measured = _measure(average, held_out, options.side)
            log_line(options.out / LOG, {"step": done, **figures, "pictures_per_s": round(speed, 1), **measured})
            _save(options, network, average, optimizer, done)
            started, seen, sums = time.perf_counter(), done, {}
    average.eval()
    return average


def load_detector(path: Path) -> PicoDet:
    """Return the trained detector of a checkpoint, ready to run.

    Raises:
        ValueError: it is no checkpoint of a detector.
    """
    state = load_checkpoint(path, "detector")
    network = PicoDet(PicoDetConfig(**state["config"]))
    network.load_state_dict(state["network"])
    network.eval()
    return network


def load_backbone(network: PicoDet, path: Path) -> None:
    """Fill a detector's backbone with that of a trained extractor.

    Raises:
        ValueError: it is no checkpoint of an extractor, or one of another width.
    """
    state = load_checkpoint(path, "extractor")
    found, wanted = state["options"]["scale"], network.config.scale
    kind = state["options"]["backbone"]
    if found != wanted or kind != "lcnet":
        raise ValueError(f"{path}: expected lcnet of scale {wanted}, as the detector's, found {kind} of scale {found}")
    prefix = "backbone."
    named = {name: value for name, value in state["network"].items() if name.startswith(prefix)}
    network.backbone.load_state_dict({name.removeprefix(prefix): value for name, value in named.items()})


def start_from(network: PicoDet, path: Path) -> None:
    """Fill a detector with the weights of a trained one.

    Raises:
        ValueError: it is no checkpoint of a detector, or one of another size.
    """
    trained = load_detector(path)
    if trained.config != network.config:
        raise ValueError(f"{path}: expected a detector of {network.config}, found {trained.config}")
    network.load_state_dict(trained.state_dict())


def held_out_names(source: Source) -> tuple[list[str], list[str]]:
    """Return the names of a source's photos to train with, and of those held out."""
    if not isinstance(source.held_out, Path):
        return split_photos(source.folder, source.held_out)
    kept = source.held_out.read_text("utf-8").split("\n")
    names = photo_names(source.folder)
    return [name for name in names if name not in kept], [name for name in names if name in kept]


def _learn(learner: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Take one step; return each loss."""
    images, boxes, picture = batch
    losses = detection_losses(learner(normalize(images)), boxes, picture)
    optimizer.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    nn.utils.clip_grad_norm_(learner.parameters(), _GRADIENT_NORM)
    optimizer.step()
    return {name: loss.detach() for name, loss in losses.items()}


def _read(sources: Sequence[Source]) -> tuple[list[list[Photo]], list[Photo]]:
    folders: list[list[Photo]] = []
    held_out: list[Photo] = []
    for source in sources:
        names, kept = held_out_names(source)
        folders.append(read_photos(source.folder, names))
        held_out += read_photos(source.folder, kept)
    return folders, held_out


def _measure(network: PicoDet, held_out: Sequence[Photo], side: int) -> dict[str, float]:
    if not held_out:
        return {}
    found = detect(network, held_out, side)
    return {"ap50": round(evaluate_ap(found, [photo.boxes_xyxy for photo in held_out]), 4)}


def _save(
    options: DetectorOptions, network: PicoDet, average: PicoDet, optimizer: torch.optim.Optimizer, step: int
) -> None:
    facts, config = options.facts(), asdict(network.config)
    save_run(options.out / CHECKPOINT, "detector", facts, network, average, optimizer, step, config=config)
