"""A training: its steps, its log, its averaged weights, and the checkpoint from which an interrupted one goes on."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .checkpoint import load_checkpoint, save_checkpoint
from .progress import Progress

if TYPE_CHECKING:
    from .detector.options import DetectorOptions
    from .extractor.options import DistilOptions, ExtractorOptions

    Options: TypeAlias = DetectorOptions | DistilOptions | ExtractorOptions

NetworkT = TypeVar("NetworkT", bound=nn.Module)

_EMA_HORIZON = 400
_LONGEST_WARM_UP = 200


def join_processes() -> tuple[torch.device, int, int]:
    """Return this process's device, its rank and how many processes there are, as PyTorch's launcher set them."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        device = torch.device("cuda")
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device, rank, world


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters in two groups for an optimizer: only weights of convolutions and linear maps decay."""
    weights = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def cosine_rate(step: int, steps: int, peak: float, last: float = 0.01) -> float:
    """Return a step's learning rate: a linear rise, then half a cosine, down to the share `last` of the peak."""
    warm_up = max(1, min(steps // 20, _LONGEST_WARM_UP))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * (last + (1 - last) * (1 + math.cos(math.pi * done)) / 2)


@torch.no_grad()
def follow(average: nn.Module, current: nn.Module, step: int) -> None:
    """Move the averaged weights toward the current ones, faster in the beginning."""
    decay = min(1 - 1 / _EMA_HORIZON, (step + 1) / (step + 10))
    for kept, new in zip(average.state_dict().values(), current.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


@dataclass(frozen=True, slots=True)
class Run(Generic[NetworkT]):
    """A training and what it has learnt.

    Attributes:
        kind: of the network; names the files in the options' `out`.
        options: of the training.
        learner: what has parameters to learn.
        network: the part of it that is wanted.
        average: a copy of it with averaged weights.
        optimizer: of the learner's parameters.
        first: the first step that is left.
        more: what the checkpoint holds besides.
    """

    kind: str
    options: Options
    learner: nn.Module
    network: NetworkT
    average: NetworkT
    optimizer: torch.optim.Optimizer
    first: int
    more: Mapping[str, Any]

    @classmethod
    def start(
        cls, kind: str, options: Options, learner: nn.Module, network: NetworkT, weight_decay: float, **more: Any
    ) -> Run[NetworkT]:
        """Begin a training by AdamW, or go on with the interrupted one in `out`.

        Raises:
            ValueError: what is there is not a checkpoint, or of a run with other options.
        """
        average = copy.deepcopy(network)
        optimizer = torch.optim.AdamW(decay_groups(learner, weight_decay), options.rate(0), fused=True)
        options.out.mkdir(parents=True, exist_ok=True)
        path, first = options.out / f"{kind}.pt", 0
        if path.exists():
            state, facts = load_checkpoint(path, kind), options.facts()
            if other := [name for name in facts if state["options"].get(name) != facts[name]]:
                listed = ", ".join(other)
                raise ValueError(f"{path}: was started with other options ({listed}): name another folder, or these")
            learner.load_state_dict(state["learner"])
            average.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            first = int(state["step"])
        return cls(kind, options, learner, network, average, optimizer, first, more)

    def save(self, step: int) -> None:
        """Write all that `start` needs to go on after `step` steps; what is drawn has no state."""
        parts = {"network": self.average, "learner": self.learner, "optimizer": self.optimizer}
        state = {name: part.state_dict() for name, part in parts.items()}
        facts = {"kind": self.kind, "options": self.options.facts(), "step": step}
        save_checkpoint(self.options.out / f"{self.kind}.pt", {**facts, **state, **self.more})

    def learn(
        self,
        losses_at: Callable[[int, nn.Module], Mapping[str, Tensor]],
        progress: Progress,
        *,
        log_every: int,
        save_every: int,
        longest_gradient: float,
        measure: Callable[[NetworkT], Mapping[str, float]] = lambda network: {},
    ) -> None:
        """Take the steps that are left.

        Args:
            losses_at: gives the weighted losses of a step, by the learner that it is given.
            progress: called with the steps done and in all.
            log_every, save_every: steps between lines of the log, and between checkpoints.
            longest_gradient: to which gradients are clipped.
            measure: figures of the averaged network, for the log.
        """
        options, rank, world = self.options, int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        learner = DistributedDataParallel(self.learner) if world > 1 else self.learner
        learner.train()
        started, seen, sums = time.perf_counter(), self.first, torch.zeros(())
        for done in range(self.first + 1, options.steps + 1):
            for group in self.optimizer.param_groups:
                group["lr"] = options.rate(done - 1)
            losses = losses_at(done - 1, learner)
            loss = torch.stack(list(losses.values()))
            self.optimizer.zero_grad()
            loss.sum().backward()
            nn.utils.clip_grad_norm_(self.learner.parameters(), longest_gradient)
            self.optimizer.step()
            follow(self.average, self.network, done - 1)
            sums = loss.detach() + sums.to(loss.device)
            if rank:
                continue
            progress(done, options.steps)
            if done % log_every == 0 or done == options.steps:
                count = done - seen
                speed = count * options.batch / (time.perf_counter() - started)
                figures = {name: round(value / count, 4) for name, value in zip(losses, sums.tolist(), strict=True)}
                line = {"step": done, **figures, "pictures_per_s": round(speed, 1), **measure(self.average)}
                with (options.out / f"{self.kind}.jsonl").open("a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
                started, seen, sums = time.perf_counter(), done, torch.zeros(())
            if done % save_every == 0 or done == options.steps:
                self.save(done)
