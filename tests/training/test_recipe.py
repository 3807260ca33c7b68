"""The recipe in small, by its commands: from a folder per product to networks that beat untrained ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from typer.testing import CliRunner

from training.checkpoint import save_checkpoint
from training.cli import app
from training.networks.extractor import Extractor
from training.render.crop import draw_crop
from training.render.product import Product

CHECKOUT = Path(__file__).resolve().parents[2]
SEARCHED = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "export")])
SIDE = 64


def train(*arguments: object) -> str:
    """Run `python -m training` and return what it prints."""
    command = [sys.executable, "-m", "training", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": SEARCHED, "OMP_NUM_THREADS": "2"}
    finished = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    return finished.stdout


def draw_products(folder: Path, seeds: range, views: range) -> Path:
    """Write a folder a product with pictures of it."""
    for seed in seeds:
        product = Product.of(seed)
        place = folder / f"product {seed}"
        place.mkdir(parents=True)
        for view in views:
            picture = draw_crop(product, np.random.default_rng((seed, view)), SIDE)
            cv2.imwrite(str(place / f"{view}.jpg"), picture[..., ::-1])
    return folder


def test_from_folders_of_products_to_a_better_extractor(tmp_path: Path) -> None:
    seen, new = range(5_000_000, 5_000_060), range(5_100_000, 5_100_040)
    folders = {
        "train": draw_products(tmp_path / "train", seen, range(8)),
        "gallery": draw_products(tmp_path / "gallery", new, range(3)),
        "queries": draw_products(tmp_path / "queries", new, range(3, 8)),
    }
    packs = {name: tmp_path / "packs" / name for name in folders}
    for name, folder in folders.items():
        train("pack", folder, "--out", packs[name], "--side", SIDE)
    measured = ("--gallery", packs["gallery"], "--queries", packs["queries"])
    size = ("--scale", 0.5, "--dim", 64, "--side", 48, "--final-side", SIDE, "--batch", 32)
    train("extractor", "--products", packs["train"], "--out", tmp_path / "run", *size, "--steps", 400, "--distil", 0)

    torch.manual_seed(1)
    untrained = tmp_path / "untrained.pt"
    save_checkpoint(
        untrained,
        {
            "kind": "extractor",
            "options": {"scale": 0.5, "dim": 64, "backbone": "lcnet", "stages": 1},
            "network": Extractor(0.5, 64).state_dict(),
        },
    )
    before = json.loads(train("evaluate", untrained, *measured, "--side", SIDE))
    after = json.loads(train("evaluate", tmp_path / "run" / "extractor.pt", *measured, "--side", SIDE))
    assert after["recall_at_1"] > before["recall_at_1"] + 0.05
    assert after["mean_average_precision"] > before["mean_average_precision"] + 0.05


def test_from_photos_with_boxes_to_a_better_detector(tmp_path: Path) -> None:
    train("draw-scenes", "--out", tmp_path / "scenes", "--count", 40)
    train(
        *("detector", "--photos", tmp_path / "scenes", "--out", tmp_path / "run", "--held-out", 0.25, "--side", 160),
        *("--steps", 200, "--batch", 8, "--eval-every", 20),
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "detector.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 200
    assert lines[-1]["ap50"] > lines[0]["ap50"] + 0.05


@pytest.mark.parametrize(
    "arguments", [("pack", "nowhere", "--out", "x"), ("evaluate", "nowhere.pt", "--gallery", "x", "--queries", "y")]
)
def test_a_mistake_gets_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", *arguments]
    environment = os.environ | {"PYTHONPATH": SEARCHED}
    finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.count("\n") == 1


def test_a_share_that_is_not_a_number_is_wrong_usage() -> None:
    finished = CliRunner().invoke(app, ["extractor", "--products", "pack=half", "--out", "out"])
    assert finished.exit_code == 2
    assert "pack=half: expected FOLDER or FOLDER=SHARE with a number" in finished.output
