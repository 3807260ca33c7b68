"""Examples → the weights of an objectness network, with the point from which on its output counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shitu_edge import Recognizer
from shitu_edge.stages.objectness import Objectness

from ..detector.photos import photo_names, read_photos
from ..detector.split import split_photos
from ..options import Share
from ..progress import Progress
from .examples import Examples, find_examples

LOST = 0.005
"""Share of the products found in held-out photos that may be taken for none."""
_HIDDEN, _NETWORKS = 64, 3
"""Hidden units of a network, and how many networks are averaged: each errs differently."""
_ROUNDS, _BATCH, _RATE, _DECAY, _DROPOUT, _NOISE = 40, 256, 3e-3, 0.1, 0.3, 0.03
_SCALE = 4.0
"""Of unit rows, whose numbers are small."""
_EVERY = 5
"""One photo in five is held out; of the first folder, groups of near-duplicates are."""

Weights = NDArray[np.float32]


def train_objectness(
    bundle: Path, folders: Sequence[Share], least: float | None, most: int, seed: int, progress: Progress
) -> tuple[Weights, dict[str, tuple[int, int]]]:
    """Return the weights for a bundle (`bundle.objectness`), and what they keep in held-out photos of the first folder.

    Args:
        bundle: with a detector and an extractor.
        folders: YOLO folders and their shares in the loss; every product in them has a box.
        least: score from which boxes count; the bundle's when None.
        most: photos of each folder after the first.
        seed: of everything that is drawn.
        progress: called with the folders done and in all.

    Returns:
        The weights and, for wholes, parts and other places, how many boxes are kept of how many.
    """
    learnt, tested = [], []
    with Recognizer.open(bundle) as recognizer:
        if least is None:
            least = recognizer.bundle.manifest.detector.score_threshold
        for number, (folder, _) in enumerate(folders):
            mine, held_out = split_photos(folder, 1 / _EVERY) if number == 0 else _sampled(folder, most, seed)
            learnt.append(find_examples(recognizer, read_photos(folder, mine)))
            tested.append(find_examples(recognizer, read_photos(folder, held_out)))
            progress(number + 1, len(folders))
    shares = [share for _, share in folders]
    each = [np.full(len(one.rows), share / max(1, len(one.rows))) for one, share in zip(learnt, shares, strict=True)]
    weights = joined(
        fit(
            np.concatenate([one.rows for one in learnt]),
            np.concatenate([one.on_product for one in learnt]),
            np.concatenate(each),
            seed,
        )
    )
    weights[-1, -1] -= _point(weights, tested, shares, least)
    return weights, _figures(weights, tested[0], least)


def fit(
    rows: NDArray[np.float32], on_product: NDArray[np.bool_], each: NDArray[np.float64], seed: int
) -> list[Weights]:
    """Return the weights (D + 2, H) of several networks.

    Args:
        rows: unit rows (N, D).
        on_product: (N,), whether they show a product.
        each: (N,), how much they count.
        seed: of everything that is drawn.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    inputs, truth = torch.from_numpy(rows), torch.from_numpy(on_product.astype(np.float32))
    counts = torch.from_numpy((each / each.mean()).astype(np.float32))
    return [_as_weights(_fit_one(_SCALE * inputs, truth, counts)) for _ in range(_NETWORKS)]


def _fit_one(inputs: torch.Tensor, truth: torch.Tensor, counts: torch.Tensor) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(inputs.shape[1], _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, 1), nn.Flatten(0)
    )
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    loss_of = nn.BCEWithLogitsLoss(reduction="none")
    for _ in range(_ROUNDS):
        for batch in torch.randperm(len(inputs)).split(_BATCH):
            seen = inputs[batch] + _NOISE * torch.randn(len(batch), inputs.shape[1])
            loss = (loss_of(network(seen), truth[batch]) * counts[batch]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def _as_weights(network: nn.Sequential) -> Weights:
    """Return a network's weights (D + 2, H) for unit rows; its last unit, always 1, carries the output's bias."""
    hidden, output = network[0], network[3]
    assert isinstance(hidden, nn.Linear)
    assert isinstance(output, nn.Linear)
    with torch.inference_mode():
        upper = np.pad(_SCALE * hidden.weight.T.numpy(), ((0, 0), (0, 1)))
        bias = np.append(hidden.bias.numpy(), 1.0)
        lower = np.append(output.weight.numpy(), output.bias.numpy())
    return np.concatenate([upper, bias[None], lower[None]]).astype(np.float32)


def joined(networks: Sequence[Weights]) -> Weights:
    """Return the weights of one network that gives the mean of several's outputs."""
    weights = np.concatenate(networks, axis=1)
    weights[-1] /= len(networks)
    return weights


def _sampled(folder: Path, most: int, seed: int) -> tuple[list[str], list[str]]:
    names = photo_names(folder)
    order = np.random.default_rng(seed).permutation(len(names))[:most]
    chosen = [names[place] for place in sorted(order.tolist())]
    held_out = chosen[::_EVERY]
    return [name for name in chosen if name not in held_out], held_out


def _point(weights: Weights, tested: Sequence[Examples], shares: Sequence[float], least: float) -> float:
    """Return the output from which on a box counts: `LOST` of the products are below it, folders by their shares."""
    outputs, each = [], []
    for examples, share in zip(tested, shares, strict=True):
        products = examples.whole & (examples.scores >= least)
        outputs.append(Objectness(weights).log_odds(examples.rows[products]))
        each.append(np.full(len(outputs[-1]), share / max(1, len(outputs[-1]))))
    return float(np.quantile(np.concatenate(outputs), LOST, method="inverted_cdf", weights=np.concatenate(each)))


def _figures(weights: Weights, examples: Examples, least: float) -> dict[str, tuple[int, int]]:
    counted = examples.scores >= least
    kept = counted & Objectness(weights).are_products(examples.rows)
    on_it, whole = examples.on_product, examples.whole
    kinds = {"products": whole, "parts": on_it & ~whole, "others": ~on_it}
    return {name: (int((kept & which).sum()), int((counted & which).sum())) for name, which in kinds.items()}
