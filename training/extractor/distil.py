"""Distillation from teachers that are asked as the student learns: no view is seen twice. It wants a GPU.

Where `teach` keeps a few views' answers for a training on a CPU, here images, views, teachers and student are all on
the device. A student that is shown the very views that its teachers see, for long enough, comes to see as they do
(Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", arXiv:2106.05237). Labels have no
part in it but for the focus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..learning import Run, join_processes
from ..networks.extractor import Extractor
from ..progress import Progress
from .converted import Converted
from .losses import Distillation, MapDistillation
from .options import DistilOptions
from .packs import Pack
from .teacher import MAP_DEPTHS, MAP_SIDE
from .teaching import Focus, find_maps, read_teacher, side_of
from .train import LONGEST_GRADIENT, start_from
from .views import cut_all, draw_boxes, draw_parts, in_new_light

_LOG_EVERY = 100
_CENTERED_BY = 8
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
    """Images on a device, of which views are drawn.

    Args:
        packs: each with its share.
        batch: how many at once.
        mixed: share of the views in which a box shows another's.
        device: where the images are kept.
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
    run = Run.start("extractor", options, student, student.extractor, options.weight_decay)

    def losses_at(step: int, wrapped: nn.Module) -> dict[str, Tensor]:
        seen = views.draw((options.seed, step, rank), teacher_side)
        vectors, maps = teachers(seen)
        smaller = functional.interpolate(seen, (options.side, options.side), mode="bilinear", antialias=True)
        images = in_new_light(smaller, (options.seed, step, rank))
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            losses: dict[str, Tensor] = wrapped(images, vectors.flatten(1) - center_vectors, maps - center_maps)
        return losses

    run.learn(
        losses_at,
        progress,
        log_every=_LOG_EVERY,
        save_every=options.save_every,
        longest_gradient=LONGEST_GRADIENT,
    )
    return run.average


def _open_teachers(options: DistilOptions) -> tuple[Teachers, int]:
    """Return the teachers and the side in pixels of their input."""
    networks = [read_teacher(model) for model in options.models]
    maps, sides = [find_maps(network) for network in networks], {side_of(network) for network in networks}
    if len(sides) != 1:
        raise ValueError(f"teachers: expected networks that look at images of one size, found {sorted(sides)}")
    focus = Focus.load(options.focus)
    focus.check([sum(int(found[kind].get_shape()[1]) for found in maps) for kind in range(2)], options.focus)
    return Teachers([Converted(*pair) for pair in zip(networks, maps, strict=True)], focus), sides.pop()


def _center(teachers: Teachers, views: Views, seed: int, side: int) -> tuple[Tensor, Tensor]:
    """Return the means of vectors (1, T) and maps (1, M, 1, 1) over some batches."""
    answers = [teachers(views.draw((seed, number, 1 << 20), side)) for number in range(_CENTERED_BY)]
    vectors, maps = (torch.cat(kind).mean((0, 2, 3)) for kind in zip(*answers, strict=True))
    return vectors[None], maps[None, :, None, None]
