"""Distillation from teachers that are asked as the student learns: no view is seen twice. It wants a GPU.

Where `teach` keeps a few views' answers for a training on a CPU, here pictures, views, teachers and student are all on
the device. A student that is shown the very views that its teachers see, for long enough, comes to see as they do
(Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", arXiv:2106.05237). Labels have no
part in it but for the focus.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from ..checkpoint import resume_run, save_run
from ..learning import cosine_rate, decay_groups, follow, join_processes, log_line
from ..networks.extractor import Extractor
from ..progress import Progress
from .converted import Converted
from .losses import Distillation, MapDistillation
from .options import DistilOptions
from .packs import Pack
from .teacher import MAP_DEPTHS, MAP_SIDE
from .teaching import Focus, find_maps, read_teacher, side_of
from .train import CHECKPOINT, LOG, start_from
from .views import cut_all, draw_boxes, draw_parts, in_new_light

_SAVE_EVERY, _LOG_EVERY = 500, 100
_CENTERD_BY = 8
"""Batches that the teachers' mean answers are taken from."""
_BESIDE = (0.3, 0.7)
"""Least and greatest height and width of the box in which a view shows another."""


class Teachers(nn.Module):
    """Networks side by side, and what of their maps is taught.

    Args:
        networks: each gives its last map before it averages, and the last one of twice that resolution.
        focus: of all their channels, in the same order.
    """

    def __init__(self, networks: Sequence[nn.Module], focus: Focus) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.focus = nn.ParameterDict(
            {name: nn.Parameter(torch.from_numpy(part).float(), False) for name, part in asdict(focus).items()}
        )

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map views (N, 3, S, S) in 0..255 to vectors (N, T, 1, 1) and maps (N, M, 7, 7), in float32."""
        pixels_rgb = images.permute(0, 2, 3, 1).contiguous()
        coarse, fine = zip(*(network(pixels_rgb) for network in self.networks), strict=True)
        maps = [self._projected(coarse, MAP_SIDE, "coarse"), self._projected(fine, MAP_SIDE, "fine")]
        return self._projected(coarse, 1, "vector"), torch.cat(maps, 1)

    def _projected(self, maps: Sequence[Tensor], side: int, part: str) -> Tensor:
        seen = torch.cat([functional.adaptive_avg_pool2d(found, side).float() for found in maps], 1)
        return functional.conv2d(seen, self.focus[part][:, :, None, None], self.focus[f"{part}_offset"])


class _Student(nn.Module):
    """The extractor and what it is taught by."""

    def __init__(self, options: DistilOptions, teacher_dim: int) -> None:
        super().__init__()
        self.extractor = Extractor(options.scale, options.dim, backbone=options.backbone, stages=options.stages)
        channels = self.extractor.backbone.stage_channels
        self.distillation = Distillation(options.dim, teacher_dim)
        self.map_distillation = MapDistillation((channels[-1], channels[-2]), MAP_DEPTHS)

    def forward(self, images: Tensor, vectors: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """Return each loss."""
        features = self.extractor.backbone(images)
        embeddings = self.extractor.embed(self.extractor.average(features))
        return {
            "distil": self.distillation(embeddings, vectors),
            "maps": self.map_distillation((features[-1], features[-2]), maps),
        }


class Views:
    """Pictures on a device, of which views are drawn.

    Args:
        packs: each with its share.
        batch: how many at once.
        mixed: share of the views in which a box shows another's.
        device: where the pictures are kept.
    """

    def __init__(self, packs: Sequence[tuple[Pack, float]], batch: int, mixed: float, device: torch.device) -> None:
        total = sum(share for _, share in packs)
        self._counts = [max(1, round(batch * share / total)) for _, share in packs]
        self._images = [torch.from_numpy(np.array(pack.pixels_rgb)).permute(0, 3, 1, 2).to(device) for pack, _ in packs]
        self._mixed, self._device = mixed, device

    def draw(self, seed: tuple[int, ...], side: int) -> Tensor:
        """Return views (N, 3, side, side) in 0..255; the same for the same seed."""
        rng = np.random.default_rng(seed)
        seen = []
        for images, count in zip(self._images, self._counts, strict=True):
            rows = torch.from_numpy(rng.integers(len(images), size=count)).to(self._device)
            parts = torch.from_numpy(draw_parts(rng, count)).to(self._device)
            seen.append(cut_all(images[rows].float(), parts, side))
        views = torch.cat(seen)
        others = views[torch.from_numpy(rng.permutation(len(views))).to(self._device)]
        boxes = torch.from_numpy(rng.random((len(views), 4), np.float32)).to(self._device)
        chosen = torch.from_numpy(rng.random(len(views)) < self._mixed).to(self._device)
        return torch.where(draw_boxes(boxes, _BESIDE, (side, side)) & chosen[:, None, None, None], others, views)


def distil(options: DistilOptions, progress: Progress) -> Extractor:
    """Teach a student, or go on with an interrupted run; return it with its averaged weights.

    Its last layer follows the teachers; `refit` gives it one that tells your products apart.

    Args:
        options: see there.
        progress: called with the steps done and in all.

    Raises:
        ValueError: a pack, a teacher or the focus is not one, or the run in `out` was started with other options.
    """
    teachers, teacher_side = _open_teachers(options)
    torch.manual_seed(options.seed)
    device, rank, world = join_processes()
    fast = device.type == "cuda"
    torch.backends.cudnn.benchmark = fast
    teachers = teachers.to(device).eval()
    if fast:
        teachers.networks.half()
    views = Views(
        [(Pack.open(path), share) for path, share in options.packs], options.batch // world, options.mixed, device
    )
    center_vectors, center_maps = _center(teachers, views, options.seed, teacher_side)
    student = _Student(options, center_vectors.shape[1]).to(device, memory_format=torch.channels_last)
    if options.initial is not None:
        start_from(student.extractor, options.initial)
    average = copy.deepcopy(student.extractor)
    optimizer = torch.optim.AdamW(decay_groups(student, options.weight_decay), options.learning_rate, fused=True)
    options.out.mkdir(parents=True, exist_ok=True)
    facts = options.facts()
    first = resume_run(options.out / CHECKPOINT, "extractor", facts, student, average, optimizer)
    wrapped = DistributedDataParallel(student) if world > 1 else student
    wrapped.train()

    started, sums = time.perf_counter(), torch.zeros(2, device=device)
    for step in range(first, options.steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine_rate(step, options.steps, options.learning_rate)
        seen = views.draw((options.seed, step, rank), teacher_side)
        vectors, maps = teachers(seen)
        smaller = functional.interpolate(seen, (options.side, options.side), mode="bilinear", antialias=True)
        images = in_new_light(smaller, (options.seed, step, rank))
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            losses = wrapped(images, vectors.flatten(1) - center_vectors, maps - center_maps)
        loss = torch.stack(list(losses.values()))
        optimizer.zero_grad()
        loss.sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        follow(average, student.extractor, step)
        sums += loss.detach()
        done = step + 1
        if rank == 0:
            progress(done, options.steps)
            if done % _LOG_EVERY == 0 or done == options.steps:
                count = (done - first - 1) % _LOG_EVERY + 1
                speed = count * options.batch / (time.perf_counter() - started)
                figures = {name: round(value / count, 4) for name, value in zip(losses, sums.tolist(), strict=True)}
                log_line(options.out / LOG, {"step": done, **figures, "pictures_per_s": round(speed, 1)})
                started, sums = time.perf_counter(), torch.zeros_like(sums)
            if done % _SAVE_EVERY == 0 or done == options.steps:
                save_run(options.out / CHECKPOINT, "extractor", facts, student, average, optimizer, done)
    return average


def _open_teachers(options: DistilOptions) -> tuple[Teachers, int]:
    """Return the teachers and the pixels a side that they look at."""
    networks = [read_teacher(model) for model in options.models]
    maps, sides = [find_maps(network) for network in networks], {side_of(network) for network in networks}
    if len(sides) != 1:
        raise ValueError(f"teachers: expected networks that look at pictures of one size, found {sorted(sides)}")
    focus = Focus.load(options.focus)
    focus.check([sum(int(found[kind].get_shape()[1]) for found in maps) for kind in range(2)], options.focus)
    return Teachers([Converted(*pair) for pair in zip(networks, maps, strict=True)], focus), sides.pop()


def _center(teachers: Teachers, views: Views, seed: int, side: int) -> tuple[Tensor, Tensor]:
    """Return the means of vectors (1, T) and maps (1, M, 1, 1) over some batches."""
    answers = [teachers(views.draw((seed, number, 1 << 20), side)) for number in range(_CENTERD_BY)]
    vectors, maps = (torch.cat(kind).mean((0, 2, 3)) for kind in zip(*answers, strict=True))
    return vectors[None], maps[None, :, None, None]
