"""Setups side by side, and the sweep and the profile that come of it."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from shitu_edge import OptionError, Recognizer
from shitu_edge.bench import sweep as sweeping
from shitu_edge.bench.run import STAGES, Setup, opened
from shitu_edge.bench.sweep import precision_pairs, sweep
from shitu_edge.bench.trial import Trial, measure_trials
from shitu_edge.bench.tune import tune
from shitu_edge.bundle.profile import Profile
from shitu_edge.engines import ENGINES
from shitu_edge.engines.openvino import OpenVinoSession
from shitu_edge.errors import EngineError
from shitu_edge.system.progress import StepProgress
from tests.networks import write_bundle
from tests.shell import Shell

from . import quiet


def test_every_trial_is_measured_early_and_late(
    setup: Setup, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a machine that slows down meanwhile is fair to all."""
    order: list[int] = []

    def watched(setup: Setup, report: StepProgress) -> AbstractContextManager[Recognizer]:
        order.append(setup.objects)
        return opened(setup, report)

    monkeypatch.setattr("shitu_edge.bench.trial.opened", watched)
    trials = [Trial(str(objects), replace(setup, objects=objects), images) for objects in (1, 2, 3)]
    outcomes = measure_trials(trials, count=6, report=quiet)
    assert order == [1, 2, 3, 3, 2, 1]
    assert [outcome.ms.count for outcome in outcomes if outcome.ms] == [6, 6, 6]


def test_what_cannot_run_says_why_and_the_others_are_measured(setup: Setup, images: list[bytes]) -> None:
    trials = [Trial("no such files", replace(setup, precision="int8"), images), Trial("fine", setup, images)]
    refused, measured = measure_trials(trials, count=2, report=quiet)
    assert refused.ms is None
    assert "tiny detector has no int8 files" in str(refused.refused)
    assert measured.ms
    assert set(measured.stages_ms or ()) == set(STAGES)


def test_a_sweep_varies_one_thing_at_a_time(setup: Setup, images: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "SIZES", ((64, 36), (128, 72)))
    monkeypatch.setattr(sweeping, "SMALLEST_GALLERY", 30)
    axes = {axis.name: axis for axis in sweep(setup, images, count=2, report=quiet)}
    assert list(axes) == ["objects", "image", "gallery", "threads", "precision", "engine"]
    assert [outcome.what for outcome in axes["image"].outcomes] == ["64 × 36", "128 × 72"]
    assert [outcome.setup.gallery_size for outcome in axes["gallery"].outcomes] == [30, 300]
    assert [outcome.setup.objects for outcome in axes["objects"].outcomes] == list(sweeping.OBJECTS)
    assert {outcome.setup.objects for axis in axes.values() if axis.name != "objects" for outcome in axis.outcomes} == {
        3
    }
    assert all(outcome.ms for axis in axes.values() for outcome in axis.outcomes)


def test_precisions_are_those_that_the_bundle_has(setup: Setup) -> None:
    assert precision_pairs(setup) == [("fp32", "fp32"), ("fp32", "int8")]


@pytest.fixture
def profile(setup: Setup, images: list[bytes], monkeypatch: pytest.MonkeyPatch) -> Profile:
    """What is found on a machine whose OpenVINO is slow."""
    run = OpenVinoSession.run

    def slow(self: OpenVinoSession, feeds: Any) -> Any:
        time.sleep(0.05)
        return run(self, feeds)

    with monkeypatch.context() as patch:
        patch.setattr(OpenVinoSession, "run", slow)
        tuned = tune(setup, images, count=4, report=quiet)
    whats = [outcome.what for outcome in tuned.outcomes]
    assert any(what.startswith("openvino") for what in whats)
    assert whats[-1].startswith("openvino")
    return tuned.profile


def test_the_faster_engine_goes_into_the_profile_and_is_opened(
    setup: Setup, images: list[bytes], profile: Profile, tmp_path: Path
) -> None:
    assert profile.engine == "onnxruntime"
    assert profile.detector_precision == "fp32"
    assert 0 < profile.p50_ms <= profile.p95_ms
    profile.write(tmp_path / "kiosk.json")
    assert Profile.read(tmp_path / "kiosk.json") == profile
    gallery = next(setup.keep.glob("300x*.gallery"))
    with Recognizer.open(setup.bundle, gallery, profile=tmp_path / "kiosk.json") as recognizer:
        made_by = recognizer.recognize(images[0]).made_by
        assert {made_by.detector.engine, made_by.extractor.engine} == {"onnxruntime"}
        assert made_by.extractor.precision == profile.extractor_precision
        assert recognizer.threads == profile.threads
    with Recognizer.open(setup.bundle, gallery, profile=profile, engine="openvino", threads=1) as recognizer:
        assert recognizer.recognize(images[0]).made_by.detector.engine == "openvino", "what is named counts more"
        assert recognizer.threads == 1


def test_the_benchmark_takes_what_is_named_beside_a_profile(setup: Setup, profile: Profile) -> None:
    named = replace(setup, engine="openvino", precision="fp32", threads=1)
    assert named.profiled(profile) == named
    assert setup.profiled(profile).engine == profile.engine


def test_a_profile_of_another_bundle_is_refused(profile: Profile, tmp_path: Path) -> None:
    write_bundle(tmp_path / "other", name="other", weights="2" * 64)
    with pytest.raises(OptionError, match=r"is for the bundle tiny .*not for other .*`shitu-edge tune`"):
        Recognizer.open(tmp_path / "other", profile=profile)


BY_HAND = Profile(1, "tiny", "0" * 64, "a CPU", "openvino", "fp32", "int8", 2, 10.0, 12.5)


def test_a_full_disk_leaves_the_old_profile(
    tmp_path: Path, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "kiosk.json"
    path.write_text("old", encoding="utf-8")
    with full_disk(), pytest.raises(OSError, match="File too large") as caught:
        BY_HAND.write(path)
    assert caught.value.filename == str(path)
    assert [entry.read_text("utf-8") for entry in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("change", [{"threads": 0}, {"threads": 1.5}, {"p95_ms": -1}, {"p50_ms": math.nan}])
def test_a_profile_outside_its_ranges_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(OptionError, match=f"^{name}: expected a "):
        replace(BY_HAND, **change)
    (tmp_path / "profile.json").write_text(json.dumps(asdict(BY_HAND) | change), encoding="utf-8")
    with pytest.raises(OptionError, match=rf"profile\.json: is not a profile: {name}: expected "):
        Profile.read(tmp_path / "profile.json")


@pytest.mark.parametrize(
    "change",
    [
        *({name: 0} for name in ("gallery_size", "objects", "count", "threads", "seconds")),
        *({name: math.nan} for name in ("objects", "seconds")),
        {"threads": 100_000},
        {"seed": -1},
    ],
)
def test_a_setup_outside_its_ranges_is_refused(setup: Setup, change: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"^{next(iter(change))}: expected a "):
        replace(setup, **change)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"schema_version": 1, "threads": "two"}', '{"schema_version": 2}']
)
def test_files_that_are_no_profile(setup: Setup, tmp_path: Path, content: str) -> None:
    (tmp_path / "profile.json").write_text(content, encoding="utf-8")
    with pytest.raises(OptionError, match=r"profile\.json: is not a profile"):
        Recognizer.open(setup.bundle, profile=tmp_path / "profile.json")
    with pytest.raises(OptionError, match=r"absent\.json: No such file .*write a profile with `shitu-edge tune`"):
        Recognizer.open(setup.bundle, profile=tmp_path / "absent.json")


def test_where_no_engine_works(setup: Setup, images: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ENGINES:
        monkeypatch.setitem(sys.modules, f"shitu_edge.engines.{engine}", None)
    with pytest.raises(EngineError, match="is not installed"):
        tune(setup, images, count=2, report=quiet)


def test_the_commands(setup: Setup, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHITU_EDGE_CACHE", str(setup.keep.parent / "cache"))
    common = ["--models", setup.bundle, "--gallery-size", 300, "--objects", 2, "--count", 4]
    done = shell("tune", *common, "--out", "kiosk.json")
    assert done.code == 0, done.err
    assert "kiosk.json: " in done.out
    found = json.loads(Path("kiosk.json").read_text(encoding="utf-8"))
    done = shell("bench", *common, "--seconds", 0.1, "--no-cold", "--profile", "kiosk.json", "--json", "-")
    assert done.code == 0, done.err
    used = json.loads(done.out)["made_by"]["extractor"]
    assert (used["engine"], used["precision"]) == (found["engine"], found["extractor_precision"])
