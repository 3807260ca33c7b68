"""A run learns, can be interrupted, and says what does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.checkpoint import load_checkpoint, save_checkpoint
from training.extractor.evaluate import evaluate
from training.extractor.losses import triplet_angular_margin
from training.extractor.options import ExtractorOptions
from training.extractor.packs import Pack, pack_images
from training.extractor.train import CHECKPOINT, LOG, load_extractor, train_extractor
from training.networks.extractor import Extractor
from training.options import Share

from .images import write_products
from .test_packs import ignore

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs `train`, `gallery` and `queries`: twelve products to learn from, eight others to be told apart."""
    folder = tmp_path_factory.mktemp("packs")
    for name, products, views in (
        ("train", range(12), range(8)),
        ("gallery", range(50, 58), range(3)),
        ("queries", range(50, 58), range(3, 8)),
    ):
        pack_images([write_products(folder / "pictures" / name, products, views)], folder / name, 40, False, ignore)
    return folder


def options(packs: Path, out: Path, steps: int = 30) -> ExtractorOptions:
    return ExtractorOptions(
        out,
        (Share(packs / "train"),),
        scale=0.25,
        dim=32,
        steps=steps,
        batch=32,
        side=32,
        final_side=40,
        distil=0,
        threads=1,
    )


def test_training_beats_the_untrained_network(packs: Path, tmp_path: Path) -> None:
    trained = train_extractor(options(packs, tmp_path, 200), ignore)
    torch.manual_seed(1)
    gallery, queries = Pack.open(packs / "gallery"), Pack.open(packs / "queries")
    before, after = evaluate(Extractor(0.25, 32), gallery, queries, 40), evaluate(trained, gallery, queries, 40)
    assert after.mean_average_precision > before.mean_average_precision + 0.05


def test_the_triplet_loss_sees_embeddings_that_point_everywhere(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the neck all cosines are near 1: the loss stays at what it is where all are equal, and teaches nothing."""
    import training.extractor.train as module

    cosines: list[float] = []

    def watch(embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize(embeddings.detach())
        cosines.append(float((unit @ unit.T).fill_diagonal_(0).mean()))
        return triplet_angular_margin(embeddings, labels)

    monkeypatch.setattr(module, "triplet_angular_margin", watch)
    train_extractor(options(packs, tmp_path, 10), ignore)
    assert len(cosines) == 10
    assert max(map(abs, cosines)) < 0.2


def test_a_loss_of_no_weight_is_left_out(packs: Path, tmp_path: Path) -> None:
    train_extractor(replace(options(packs, tmp_path, 2), classify=0, triplet=0.5, eval_every=2), ignore)
    logged = json.loads((tmp_path / LOG).read_text())
    assert "arc" not in logged
    assert logged["triplet"] > 0


def test_an_interrupted_run_ends_as_if_it_had_not_been(packs: Path, tmp_path: Path) -> None:
    straight = train_extractor(options(packs, tmp_path / "straight"), ignore)

    def interrupt(done: int, total: int) -> None:
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_extractor(replace(options(packs, tmp_path / "broken"), save_every=10), interrupt)
    assert load_checkpoint(tmp_path / "broken" / CHECKPOINT, "extractor")["step"] == 10
    resumed = train_extractor(options(packs, tmp_path / "broken"), ignore)
    for one, other in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-5)


def test_a_finished_run_is_not_trained_again(packs: Path, tmp_path: Path) -> None:
    train_extractor(options(packs, tmp_path, 4), ignore)
    steps: list[int] = []
    train_extractor(options(packs, tmp_path, 4), lambda done, total: steps.append(done))
    assert steps == []


def test_other_options_are_refused(packs: Path, tmp_path: Path) -> None:
    train_extractor(options(packs, tmp_path, 4), ignore)
    with pytest.raises(ValueError, match=r"other options \(triplet\)"):
        train_extractor(replace(options(packs, tmp_path, 4), triplet=0.5), ignore)


def test_the_log_measures_and_the_checkpoint_gives_the_network(packs: Path, tmp_path: Path) -> None:
    chosen = replace(
        options(packs, tmp_path, 6), gallery=packs / "gallery", queries=packs / "queries", eval_every=3, eval_side=40
    )
    trained = train_extractor(chosen, ignore)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    found = evaluate(trained, Pack.open(packs / "gallery"), Pack.open(packs / "queries"), 40)
    assert lines[-1]["recall_at_1"] == pytest.approx(found.recall_at_1, abs=1e-4)
    images = torch.randn(2, 3, 40, 40)
    assert torch.allclose(load_extractor(tmp_path / CHECKPOINT)(images), trained.eval()(images), atol=1e-6)


def test_a_run_may_start_from_a_trained_network(packs: Path, tmp_path: Path) -> None:
    train_extractor(options(packs, tmp_path / "first", 20), ignore)
    first = load_extractor(tmp_path / "first" / CHECKPOINT)
    still = replace(options(packs, tmp_path / "second", 1), initial=tmp_path / "first" / CHECKPOINT, learning_rate=0.0)
    train_extractor(still, ignore)
    second = load_extractor(tmp_path / "second" / CHECKPOINT)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    other_size = replace(still, out=tmp_path / "third", dim=16)
    train_extractor(other_size, ignore)
    third = load_extractor(tmp_path / "third" / CHECKPOINT)
    assert torch.equal(third.backbone.conv1.conv.weight, first.backbone.conv1.conv.weight)
    with pytest.raises(ValueError, match=r"its backbone is another, of width 0\.25"):
        train_extractor(replace(still, out=tmp_path / "fourth", scale=0.5), ignore)


def test_two_processes_learn_together(packs: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from training.extractor.train import *\n"
        f"packs = ((Path({str(packs / 'train')!r}), 1.0),)\n"
        f"options = ExtractorOptions(Path({str(tmp_path / 'out')!r}), packs, scale=0.25, dim=32, steps=3, "
        "batch=32, side=32, final_side=32, distil=0, threads=1)\n"
        "train_extractor(options, lambda done, total: None)\n"
    )
    path = os.pathsep.join(map(str, (CHECKOUT, CHECKOUT / "export")))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert load_checkpoint(tmp_path / "out" / CHECKPOINT, "extractor")["step"] == 3


def test_checkpoints_of_another_kind_or_damaged_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"kind": "detector"})
    with pytest.raises(ValueError, match="expected a checkpoint of kind extractor, found detector"):
        load_extractor(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:40])
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_extractor(tmp_path / "b.pt")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_extractor(tmp_path / "absent.pt")
