"""Teachers answer in PyTorch as in OpenVINO, and a student comes to see as they do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import openvino as ov
import torch
from openvino import opset13 as ops
from typer.testing import CliRunner

from training.checkpoint import load_checkpoint
from training.cli import app
from training.extractor.converted import Converted
from training.extractor.distil import Teachers, Views, distil
from training.extractor.options import DistilOptions
from training.extractor.packs import Pack, pack_images
from training.extractor.teaching import Focus, find_focus, find_maps, read_teacher
from training.extractor.train import CHECKPOINT, LOG, load_extractor
from training.options import Share

from .images import write_products
from .test_packs import ignore
from .test_teacher import SIDE, write_teacher

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> DistilOptions:
    """Options of a run in `run`: a pack of twelve products, two teachers, and what of them tells products apart."""
    folder = tmp_path_factory.mktemp("distil")
    rng = np.random.default_rng(1)
    models = (folder / "one.xml", folder / "other.xml")
    for model, channels in zip(models, (200, 100), strict=True):
        write_teacher(model, mixing=rng.standard_normal((channels, 3), np.float32) / np.float32(16))
    products = write_products(folder / "products", range(12), range(4))
    pack = pack_images([products], folder / "pack", 48, False, ignore)
    find_focus([(pack, 1.0)], models, ignore).save(folder / "focus.npz")
    return DistilOptions(
        folder / "run",
        (Share(pack.folder),),
        models,
        folder / "focus.npz",
        scale=0.25,
        dim=32,
        steps=12,
        batch=16,
        side=48,
    )


def test_a_network_answers_as_in_openvino(tmp_path: Path) -> None:
    """With what real ones have: quantized weights and activations, pads on one side, groups, and sums of branches."""
    rng = np.random.default_rng(0)
    image = ops.parameter([1, 32, 32, 3], np.uint8)
    planes = ops.transpose(ops.convert(image, np.float32), np.array([0, 3, 1, 2]))
    planes = ops.fake_quantize(planes, 0.0, 255.0, -1.0, 1.0, 256)
    # Small enough that OpenVINO's integers do not overflow on processors without VNNI.
    weights = ops.convert(ops.constant(rng.integers(-40, 41, (8, 3, 3, 3), np.int8)), np.float32)
    kernel = ops.multiply(weights, np.float32(0.02))
    first = ops.convolution(planes, kernel, [2, 2], [0, 0], [1, 1], [1, 1])
    first = ops.clamp(ops.add(first, rng.standard_normal((1, 8, 1, 1), np.float32)), 0.0, 6.0)
    grouped = rng.standard_normal((8, 1, 1, 3, 3), np.float32)
    second = ops.group_convolution(first, grouped, [1, 1], [1, 1], [1, 1], [1, 1])
    second = ops.fake_quantize(ops.relu(second), 0.0, 9.0, 0.0, 9.0, 256)
    both = ops.divide(ops.subtract(ops.add(second, first), np.float32(0.5)), np.float32(2))
    network = ov.Model([first, both], [image])
    pixels = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
    with torch.no_grad():
        answers = Converted(network, [first.output(0), both.output(0)])(torch.from_numpy(pixels))
    exact = ov.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for row in range(2):
        for answer, expected in zip(answers, exact(pixels[row : row + 1]).values(), strict=True):
            # Activations have 255 steps in OpenVINO and none here.
            np.testing.assert_allclose(answer[row].numpy(), expected[0], atol=2 * 9 / 255)


def test_what_cannot_be_run_is_named() -> None:
    image = ops.parameter([1, 8, 8, 3], np.uint8, name="image")
    odd = ops.erf(ops.convert(image, np.float32))
    with pytest.raises(ValueError, match="a teacher with Erf"):
        Converted(ov.Model([odd], [image]), [odd.output(0)])


def test_teachers_say_what_their_focus_keeps(taught: DistilOptions) -> None:
    """Against NumPy: channels side by side, places of 8 × 8 pixels, and the whole image."""
    focus = Focus.load(taught.focus)
    networks = [read_teacher(model) for model in taught.models]
    pixels = np.random.default_rng(5).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    vectors, places = Teachers([Converted(network, find_maps(network)) for network in networks], focus)(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    )
    mixing = np.concatenate([_mixing(model) for model in taught.models])
    seen = np.einsum("kc,nyxc->nkyx", mixing, pixels.reshape(2, 7, 8, 7, 8, 3).mean((2, 4)))
    coarse = np.einsum("dk,nkyx->ndyx", focus.coarse, seen) + focus.coarse_offset[:, None, None]
    fine = np.einsum("dk,nkyx->ndyx", focus.fine, seen) + focus.fine_offset[:, None, None]
    np.testing.assert_allclose(places.numpy(), np.concatenate([coarse, fine], 1), atol=2e-3)
    whole = np.einsum("dk,nk->nd", focus.vector, seen.mean((2, 3))) + focus.vector_offset
    np.testing.assert_allclose(vectors.flatten(1).numpy(), whole, atol=2e-3)


def _mixing(model: Path) -> np.ndarray:
    kernels = (op for op in read_teacher(model).get_ordered_ops() if op.get_type_name() == "Convolution")
    kernel: np.ndarray = next(kernels).input_value(1).get_node().get_data()
    return kernel[:, :, 0, 0]


def test_views_are_the_seeds_and_some_show_another(taught: DistilOptions) -> None:
    """A pack of black images and one of white ones: only mixed views hold both."""
    folder = taught.out.parent
    packs = []
    for level in (0, 255):
        picked = folder / f"level {level}"
        picked.mkdir(exist_ok=True)
        np.save(picked / "crops.npy", np.full((5, 24, 24, 3), level, np.uint8))
        np.save(picked / "labels.npy", np.arange(5, dtype=np.int32))
        packs.append((Pack.open(picked), 1.0))
    assert Views(packs, 40, 0.0, CPU).draw((1,), 16).std((1, 2, 3)).max() < 1e-3
    views = Views(packs, 40, 1.0, CPU)
    both = (views.draw((1,), 16).std((1, 2, 3)) > 1).float().mean()
    assert 0.3 < both < 0.7  # half of the others are of the same level
    assert torch.equal(views.draw((1,), 16), views.draw((1,), 16))
    assert not torch.equal(views.draw((1,), 16), views.draw((2,), 16))


def test_a_student_comes_to_see_as_its_teachers(taught: DistilOptions, tmp_path: Path) -> None:
    options = replace(taught, out=tmp_path / "long", steps=120)
    distil(options, ignore)
    lines = [json.loads(line) for line in (options.out / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [100, 120]
    assert lines[-1]["distil"] < 0.75 * lines[0]["distil"]
    assert lines[-1]["maps"] < lines[0]["maps"]
    assert load_extractor(options.out / CHECKPOINT).stages == 5


def test_an_interrupted_run_ends_as_an_uninterrupted_one(taught: DistilOptions, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 7:
            raise Interrupted

    whole, parted = (replace(taught, out=tmp_path / name, save_every=5) for name in ("whole", "parted"))
    distil(whole, ignore)
    with pytest.raises(Interrupted):
        distil(parted, stop)
    distil(parted, ignore)
    one, two = (load_checkpoint(run.out / CHECKPOINT, "extractor")["network"] for run in (whole, parted))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5, msg=name)
    with pytest.raises(ValueError, match=r"was started with other options \(batch\)"):
        distil(replace(parted, batch=8), ignore)


def test_teachers_that_do_not_go_together_are_refused(taught: DistilOptions, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"focus.npz: the focus is of maps of \[300, 300\] channels"):
        distil(replace(taught, models=taught.models[:1]), ignore)
    small = tmp_path / "small.xml"
    image = ops.parameter([1, 28, 28, 3], np.uint8)
    planes = ops.transpose(ops.convert(image, np.float32), np.array([0, 3, 1, 2]))
    kernel = np.full((3, 3, 2, 2), 0.1, np.float32)
    for _ in range(2):
        planes = ops.convolution(planes, kernel, [2, 2], [0, 0], [0, 0], [1, 1])
    ov.save_model(ov.Model([ops.reduce_mean(planes, np.array([2, 3]))], [image]), small)
    with pytest.raises(ValueError, match=r"images of one size, found \[28, 56\]"):
        distil(replace(taught, models=(taught.models[0], small)), ignore)


def test_the_commands_teach_what_the_functions_do(taught: DistilOptions, tmp_path: Path) -> None:
    pack, _ = taught.packs[0]
    models = [part for model in taught.models for part in ("--model", str(model))]
    runner, focus, out = CliRunner(), tmp_path / "focus.npz", tmp_path / "out"
    found = runner.invoke(app, ["focus", "--products", str(pack), *models, "--out", str(focus)])
    assert found.exit_code == 0, found.output
    network = ["--scale", "0.25", "--dim", "32", "--steps", "2", "--batch", "16", "--side", "48"]
    told = ["distil", f"{pack}=2", *models, "--focus", str(focus), *network, "--out", str(out)]
    finished = runner.invoke(app, told)
    assert finished.exit_code == 0, finished.output
    options = load_checkpoint(out / CHECKPOINT, "extractor")["options"]
    assert options["packs"] == [[str(pack), 2.0]]
    assert (options["steps"], options["batch"], options["mixed"]) == (2, 16, 0.25)
