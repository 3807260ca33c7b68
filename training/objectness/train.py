"""Examples → the weights of an objectness network, with the points from which on its outputs count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shitu_edge import Recognizer
from shitu_edge.bundle.objectness import BOX_FACTS, OUTPUTS

from ..detector.photos import photo_names, read_photos
from ..detector.split import split_photos
from ..options import Share
from ..progress import Progress
from .examples import Examples, examples_in

LOST = 0.01
"""Share of the products found in held-out photos that each output takes for none."""
_HIDDEN, _NETWORKS = 64, 3
"""Hidden units of a network, and how many are averaged: differently drawn ones err differently."""
_ROUNDS, _BATCH, _RATE, _DECAY, _DROPOUT, _NOISE = 40, 256, 3e-3, 0.1, 0.3, 0.03
_SCALE = 4.0
"""Of unit rows, whose numbers are small."""
_EVERY = 5
"""One photo in five is held out; of the first folder, groups of near-duplicates are."""


def train_objectness(
    bundle: Path, folders: Sequence[Share], most: int, seed: int, progress: Progress
) -> tuple[NDArray[np.float32], dict[str, tuple[int, int]]]:
    """Return the weights for a bundle (`bundle.objectness`), and what they keep in held-out photos of the first folder.

    Args:
        bundle: with a detector and an extractor.
        folders: YOLO folders and their shares in the loss; every thing of theirs that is no product has no box.
        most: photos of each folder.
        seed: of everything that is drawn.
        progress: called with the folders done and in all.
    """
    learnt, tested, weights = [], [], []
    with Recognizer.open(bundle) as recognizer:
        for number, (folder, share) in enumerate(folders):
            mine, held_out = _split(folder, most, seed, is_first=number == 0)
            own = Examples.joined(examples_in(recognizer, read_photos(folder, mine)))
            kept_back = Examples.joined(examples_in(recognizer, read_photos(folder, held_out)))
            tested.append((kept_back, share))
            learnt.append(own)
            weights.append(np.full(len(own.inputs), share / len(own.inputs)))
            progress(number + 1, len(folders))
    joined = Examples.joined(learnt)
    each = np.concatenate(weights)
    made = joined_weights(fit(joined, (each / each.mean()).astype(np.float32), seed))
    made[-OUTPUTS:, -1] -= _least(made, tested)
    return made, _figures(made, tested[0][0])


def fit(examples: Examples, weights: NDArray[np.float32], seed: int) -> list[NDArray[np.float32]]:
    """Return the weights (D + 6 + 1 + 2, H) of several networks; `weights` (N,) say how much each example counts."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    mean, spread = examples.inputs.mean(axis=0), examples.inputs.std(axis=0) + 1e-6
    mean[:-BOX_FACTS], spread[:-BOX_FACTS] = 0, 1 / _SCALE
    inputs = torch.from_numpy((examples.inputs - mean) / spread)
    truth, each = torch.from_numpy(examples.truth), torch.from_numpy(weights)
    return [_unscaled(_fit_one(inputs, truth, each), mean, spread) for _ in range(_NETWORKS)]


def _fit_one(inputs: torch.Tensor, truth: torch.Tensor, each: torch.Tensor) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(inputs.shape[1], _HIDDEN), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_HIDDEN, OUTPUTS)
    )
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    loss_of = nn.BCEWithLogitsLoss(reduction="none")
    for _ in range(_ROUNDS):
        for batch in torch.randperm(len(inputs)).split(_BATCH):
            seen = inputs[batch] + _NOISE * torch.randn(len(batch), inputs.shape[1])
            loss = (loss_of(network(seen), truth[batch]).mean(dim=1) * each[batch]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def _unscaled(network: nn.Sequential, mean: NDArray[np.float32], spread: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a network's weights for inputs as they come; its last unit, always 1, carries the outputs' biases."""
    hidden, outputs = network[0], network[3]
    assert isinstance(hidden, nn.Linear)
    assert isinstance(outputs, nn.Linear)
    with torch.inference_mode():
        of_hidden, bias = hidden.weight.T.numpy() / spread[:, None], hidden.bias.numpy()
        of_outputs, of_one = outputs.weight.numpy(), outputs.bias.numpy()
    upper = np.concatenate([of_hidden, np.zeros((len(of_hidden), 1))], axis=1)
    middle = np.append(bias - mean @ of_hidden, 1.0)[None]
    lower = np.concatenate([of_outputs, of_one[:, None]], axis=1)
    return np.concatenate([upper, middle, lower]).astype(np.float32)


def joined_weights(networks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return one network that gives the mean of several's outputs."""
    joined = np.concatenate(networks, axis=1)
    joined[-OUTPUTS:] /= len(networks)
    return joined


def _split(folder: Path, most: int, seed: int, *, is_first: bool) -> tuple[list[str], list[str]]:
    if is_first:
        return split_photos(folder, 1 / _EVERY)
    names = photo_names(folder)
    order = np.random.default_rng(seed).permutation(len(names))[:most]
    chosen = [names[place] for place in sorted(order.tolist())]
    held_out = chosen[::_EVERY]
    return [name for name in chosen if name not in held_out], held_out


def _outputs(weights: NDArray[np.float32], examples: Examples) -> NDArray[np.float32]:
    hidden = np.maximum(examples.inputs @ weights[: -1 - OUTPUTS] + weights[-1 - OUTPUTS], 0)
    found: NDArray[np.float32] = hidden @ weights[-OUTPUTS:].T
    return found


def _least(weights: NDArray[np.float32], tested: Sequence[tuple[Examples, float]]) -> NDArray[np.float32]:
    """Return from which outputs on a box counts, so that `LOST` of the products found are lost; folders by share."""
    outputs, each = [], []
    for examples, share in tested:
        found = examples.counted & (examples.truth[:, 1] == 1)
        outputs.append(_outputs(weights, examples)[found])
        each.append(np.full(len(outputs[-1]), share / max(1, len(outputs[-1]))))
    together, weighed = np.concatenate(outputs), np.concatenate(each)
    return np.array(
        [np.quantile(column, LOST, method="inverted_cdf", weights=weighed) for column in together.T], np.float32
    )


def _figures(weights: NDArray[np.float32], examples: Examples) -> dict[str, tuple[int, int]]:
    """Return how many boxes of each kind are kept, and of how many that are found."""
    kept = (_outputs(weights, examples) >= 0).all(axis=1)
    on_it, whole = examples.truth[:, 0] == 1, examples.truth[:, 1] == 1
    kinds = {"products": whole, "parts": on_it & ~whole, "others": ~on_it}
    return {
        name: (int((kept & examples.counted & which).sum()), int((examples.counted & which).sum()))
        for name, which in kinds.items()
    }
