"""The benchmark on tiny networks: what it reports adds up, and its verdict falls both ways."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.bench.images import load_images, read_size
from shitu_edge.bench.run import STAGES, Result, Setup, run
from shitu_edge.bench.verdict import judge, try_remedies
from shitu_edge.errors import ImageError, OptionError, ShituError
from shitu_edge.stages.decode import decode
from shitu_edge.stages.extract import Extractor
from tests.shell import Shell

from . import quiet

SIZE = 300


def test_what_was_measured_adds_up(result: Result) -> None:
    assert (result.images, result.sizes, result.gallery_items) == (5, ((320, 180),), SIZE)
    assert set(result.boxes) == {4}, "three boxes and the whole image"
    assert len(result.boxes) == len(result.latency.total_ms) == 12
    for number, total in enumerate(result.latency.total_ms):
        parts = sum(result.latency.stages[name][number] for name in STAGES)
        assert parts <= total
    assert result.per_second > 0
    assert len(result.at_rate[1]) >= 1
    assert result.search is not None
    assert (result.search.how, result.search.recall_at_1, result.search.recall_at_10) == ("exact", 1.0, 1.0)
    for cold in result.cold.values():
        assert 0 < cold.python_ms < cold.open_ms < cold.answer_ms
    assert set(result.cold) == {"without cache", "with cache"}


def test_all_of_it_is_json(result: Result) -> None:
    stored = json.loads(json.dumps(result.as_dict(), default=str))
    assert stored["schema_version"] == 3
    assert stored["latency"]["total_ms"] == pytest.approx(result.latency.total_ms)
    assert set(stored["summaries_ms"]) == {*STAGES, "total"}
    assert stored["environment"]["versions"]["openvino"]
    assert len(stored["made_by"]["bundle_digest"]) == 64


def test_a_budget_that_is_met(result: Result) -> None:
    verdict = judge(result, 60_000)
    assert (verdict.met, verdict.blame, verdict.remedies) == (True, None, ())


@pytest.mark.parametrize("budget_ms", [-1, math.nan, "200"])
def test_a_budget_is_a_number(result: Result, budget_ms: Any) -> None:
    with pytest.raises(OptionError, match=r"^budget_ms: expected a number of at least 0"):
        judge(result, budget_ms)


def test_a_slow_stage_is_blamed(setup: Setup, images: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops that take 40 ms each miss 100 ms with three of them, and keep to it with one."""
    embed = Extractor.embed

    def slow(self: Extractor, pixels: Any, boxes: Any) -> Any:
        time.sleep(0.04 * len(boxes))
        return embed(self, pixels, boxes)

    monkeypatch.setattr(Extractor, "embed", slow)
    slowed = run(setup, images, cold=False, report=quiet)
    verdict = judge(slowed, 100)
    assert (verdict.met, verdict.blame) == (False, "extract")
    tried = try_remedies(slowed, verdict, images, count=5, report=quiet)
    assert "boxes per image: 1 instead of 3 (--objects 1)" in [remedy.what for remedy in tried.remedies]
    assert all(remedy.enough == (remedy.ms.p95.value <= 100) for remedy in tried.remedies)


def test_a_verdict_of_few_samples_is_not_sure(result: Result) -> None:
    """Of 12 samples none bounds the 95th percentile from above."""
    assert not judge(result, 60_000).sure
    longer = replace(result, latency=replace(result.latency, total_ms=(1.0,) * 200))
    assert judge(longer, 2).sure
    assert judge(longer, 0.5).sure


def test_a_gallery_of_ones_own(setup: Setup, images: list[bytes], result: Result) -> None:
    (kept,) = setup.keep.glob(f"{SIZE}x*.gallery")  # other tests keep theirs beside it
    own = run(replace(setup, gallery=kept, gallery_size=1, count=2), images, cold=False, report=quiet)
    assert own.gallery_items == SIZE
    assert own.search is not None
    assert own.search.recall_at_1 == 1.0
    assert own.cold == {}


def test_a_process_that_fails_says_why(setup: Setup, tmp_path: Path) -> None:
    from shitu_edge.bench.cold import cold_start

    with pytest.raises(ShituError, match=r"a fresh process failed: .*missing"):
        cold_start(Path(str(setup.bundle)), tmp_path / "missing.gallery", b"")


def test_images_of_the_user(tmp_path: Path) -> None:
    scenes = load_images(None, None)
    (tmp_path / "photo.jpg").write_bytes(scenes[0])
    assert load_images(tmp_path, None) == load_images(tmp_path / "photo.jpg", None) == scenes[:1]
    (resized,) = load_images(tmp_path, (64, 48))
    assert (decode(resized).width, decode(resized).height) == (64, 48)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        load_images(tmp_path, None)


@pytest.mark.parametrize("text", ["", "1920", "1920x", "x1080", "0x5", "-3x4", "1e3x5", "100000x100000"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="expected WIDTHxHEIGHT"):
        read_size(text)


def test_sizes() -> None:
    assert read_size("1920x1080") == read_size("1920X1080") == read_size("1920×1080") == (1920, 1080)


def test_the_command(setup: Setup, result: Result, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHITU_EDGE_CACHE", str(setup.keep.parent / "cache"))
    common = ["bench", "--models", setup.bundle, "--gallery-size", SIZE, "--objects", 2, "--count", 5, "--seconds", 0.2]
    done = shell(*common, "--no-cold", "--budget-ms", 60000, "-o", "out.json", "-o", "out.md")
    assert (done.code, done.err) == (0, "") or "warning: " in done.err
    assert "within the budget of 60000 ms at p95" in done.out
    assert json.loads(Path("out.json").read_text(encoding="utf-8"))["verdict"]["met"]
    assert "| total |" in Path("out.md").read_text(encoding="utf-8")
    failed = shell(*common, "--no-cold", "--budget-ms", 0, "--json")
    assert failed.code == 1
    assert json.loads(failed.out)["verdict"]["blame"] in STAGES


def test_the_command_on_bad_input(setup: Setup, shell: Shell) -> None:
    for code, arguments, words in (
        (1, ["--images", "nowhere"], "nowhere: no such folder of images"),
        (2, ["--image-size", "big"], "expected WIDTHxHEIGHT"),
        (2, ["-o", "report.txt"], "expected a name that ends in .json, .md or .html, found report.txt"),
        (1, ["--gallery", "nowhere.gallery"], "nowhere.gallery"),
    ):
        done = shell("bench", "--models", setup.bundle, *arguments)
        assert (done.code, done.out) == (code, "")
        assert done.err.lower().count("error: ") == 1
        assert words in done.err


def test_the_variable_names_the_gallery_unless_a_synthetic_one_is_asked_for(
    setup: Setup, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHITU_EDGE_GALLERY", "nowhere.gallery")
    monkeypatch.setenv("SHITU_EDGE_CACHE", str(setup.keep.parent / "cache"))
    common = ["bench", "--models", setup.bundle, "--count", 2, "--seconds", 0.1, "--no-cold", "--json"]
    assert "nowhere.gallery" in shell(*common).err
    assert json.loads(shell(*common, "--gallery-size", SIZE).out)["gallery_items"] == SIZE
