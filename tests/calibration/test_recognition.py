"""Recognition by a calibrated threshold, and what overrides it; the command that shows it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge import Gallery, NewGalleryItem, Recognizer
from shitu_edge.bundle import Target
from shitu_edge.calibration import Queries, derive, store
from shitu_edge.errors import OptionError
from tests.gallery.rows import unit
from tests.networks import DIM
from tests.shell import Shell
from tests.test_recognizer import BLUE, GREEN, RED, product, scene

IMAGE = scene((1, 1, RED), (5, 5, BLUE))


@pytest.fixture
def path(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A gallery of 40 drawn products beside a red and a green one."""
    path = tmp_path / "shop.gallery"
    with Recognizer.open(tiny_bundle) as embedder, embedder.create_gallery(path) as gallery:
        rows = unit(np.random.default_rng(0).normal(size=(40, DIM)))
        gallery.add(NewGalleryItem(f"product {number}", "", row) for number, row in enumerate(rows))
        gallery.add(
            NewGalleryItem(name, "", embedder.embed(product(color))[0])
            for name, color in (("red", RED), ("green", GREEN))
        )
    return path


@pytest.fixture
def recognizer(tiny_bundle: Path, path: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle, path) as opened:
        yield opened


def test_calibrated_threshold_decides(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(IMAGE, max_false_accept=0.1)
    assert answer.calibration is not None
    assert (answer.calibration.state, answer.calibration.products) == ("calibrated", 42)
    assert answer.calibration == recognizer.calibration(0.1)
    assert answer.items
    for item in answer.items:
        assert item.score is not None
        assert (item.score >= (answer.calibration.threshold or 2)) == (item.decision != "unknown")
        possible = [one.label for one in item.candidates if one.possible]
        assert len(possible) == {"unknown": 0, "accepted": 1}.get(item.decision, 2)
        assert possible[:1] == [item.label] * bool(possible)
        assert item.score <= (item.similarity or -1)
        assert len(item.matches) == recognizer.policy.neighbors
    assert "red" in {item.label for item in answer.items}
    assert pickle.loads(pickle.dumps(answer)).calibration == answer.calibration
    assert answer.as_dict()["calibration"]["state"] == "calibrated"


def test_stricter_rate_names_no_more(recognizer: Recognizer) -> None:
    named = [
        sum(item.decision == "accepted" for item in recognizer.recognize(IMAGE, max_false_accept=rate).items)
        for rate in (0.001, 0.05, 0.5)
    ]
    assert named == sorted(named)


def test_policy_without_a_rate_is_not_calibrated(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(IMAGE)
    assert answer.calibration is None
    assert recognizer.calibration() is None
    assert all(item.score is None for item in answer.items)


def test_threshold_of_a_call_takes_the_place_of_a_calibrated_one(recognizer: Recognizer) -> None:
    with pytest.raises(OptionError, match="either a threshold or max_false_accept"):
        recognizer.recognize(IMAGE, threshold=0.5, max_false_accept=0.1)
    assert recognizer.recognize(IMAGE, threshold=0.5).calibration is None


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan"), "x"])
def test_rate_out_of_range_is_refused(recognizer: Recognizer, rate: float) -> None:
    with pytest.raises(OptionError, match="max_false_accept"):
        recognizer.recognize(IMAGE, max_false_accept=rate)


def test_promise_that_cannot_be_kept_is_refused(recognizer: Recognizer) -> None:
    with pytest.raises(OptionError, match="from 42 products"):
        recognizer.recognize(IMAGE, max_false_accept=0.01, confidence=0.9)


def test_small_gallery_falls_back_and_says_so(recognizer: Recognizer) -> None:
    recognizer.gallery.remove(range(1, 31))
    answer = recognizer.recognize(IMAGE, max_false_accept=0.1)
    assert answer.calibration is not None
    assert (answer.calibration.state, answer.calibration.threshold) == ("uncalibrated", None)
    expected = recognizer.recognize(IMAGE)
    assert [(item.label, item.decision) for item in answer.items] == [
        (item.label, item.decision) for item in expected.items
    ]


def test_command(shell: Shell, path: Path) -> None:
    done = shell("calibrate", path)
    assert (done.code, done.err) == (0, "")
    assert "42" in done.out
    assert "more needed" in done.out
    lines = [json.loads(line) for line in shell("calibrate", path, "--json").out.splitlines()]
    assert [line["max_false_accept"] for line in lines] == [0.01, 0.02, 0.05, 0.1]
    assert {line["schema_version"] for line in lines} == {1}
    refused = shell("calibrate", path, "--max-false-accept", "0.001", "--confidence", "0.9")
    assert refused.code == 1
    assert "cannot be promised from 42 products" in refused.err
    for share in ("0", "1", "2", "nan"):
        assert shell("calibrate", path, "--max-false-accept", share).code == 2
        assert shell("calibrate", path, "--confidence", share).code == 2


def test_commands_count_a_local_layer(shell: Shell, tiny_bundle: Path, path: Path, tmp_path: Path) -> None:
    """Items in two files are calibrated as the same items in one."""
    central, local = tmp_path / "central.gallery", tmp_path / "local.gallery"
    with Gallery.open(path) as gallery, Recognizer.open(tiny_bundle) as maker:
        items = [NewGalleryItem(item.label, "", gallery.embeddings([item.id])[0]) for item in gallery.items()]
        for layer, part in ((central, items[:30]), (local, items[30:])):
            with maker.create_gallery(layer) as made:
                made.add(part)
    options = "--max-false-accept", "0.1", "--dry-run", "--json", "-m", tiny_bundle
    alone, both, whole = (
        json.loads(shell("calibrate", *names, *options).out)
        for names in ((central,), (central, "--local", local), (path,))
    )
    assert (alone["products"], both["products"]) == (30, 42)
    assert both["threshold"] == pytest.approx(whole["threshold"], abs=1e-6)
    table = shell("calibrate", central, "--local", local, "-m", tiny_bundle).out
    assert f"{local}, revision 2" in " ".join(table.split())
    shell("calibrate", central, "--local", local, "--max-false-accept", "0.1", "-m", tiny_bundle)
    facts = json.loads(shell("gallery", "info", central, "--local", local, "-m", tiny_bundle, "--json").out)
    assert (facts["items"], facts["local_items"], facts["local_revision"]) == (30, 12, 2)
    assert facts["calibration"]["products"] == 42
    with Gallery.open(local) as kept:
        assert kept.revision == 2  # the target went into the central gallery
    found = json.loads(shell("doctor", "--gallery", central, "--local", local, "-m", tiny_bundle, "--json").out)
    assert found["calibration"]["products"] == 42
    for words in (("calibrate", central), ("gallery", "info", central), ("doctor", "--gallery", central)):
        assert "is the gallery itself" in shell(*words, "--local", central, "-m", tiny_bundle).err
    assert "--local needs --gallery" in shell("doctor", "--local", local).err


def test_command_leaves_its_scores_for_the_revision_that_it_makes(
    shell: Shell, tiny_bundle: Path, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHITU_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(derive, "AT_ONCE", 0)  # as of a gallery that is calibrated in the background
    made = json.loads(shell("calibrate", path, "--max-false-accept", "0.1", "-m", tiny_bundle, "--json").out)
    facts = json.loads(shell("gallery", "info", path, "-m", tiny_bundle, "--json").out)
    assert facts["calibration"] == {key: value for key, value in made.items() if key != "schema_version"}


def test_command_uses_labeled_images_of_its_precision_alone(shell: Shell, tiny_bundle: Path, path: Path) -> None:
    with Gallery.open(path) as gallery:
        rows = gallery.embeddings([item.id for item in gallery.items()])
        store(gallery, queries=Queries(rows, (None,) * len(rows), "bf16"))
    for options, queries in (((), 0), (("--precision", "bf16"), 42)):
        done = shell("calibrate", path, "--json", "-m", tiny_bundle, *options)
        assert json.loads(done.out.splitlines()[0])["queries"] == queries


def test_command_does_not_forget_in_a_dry_run(shell: Shell, path: Path) -> None:
    shell("calibrate", path, "--max-false-accept", "0.1")
    done = shell("calibrate", path, "--forget", "--dry-run")
    assert done.code == 2
    assert "either --forget or --dry-run" in done.err
    assert json.loads(shell("calibrate", path, "--json").out.splitlines()[-1])["max_false_accept"] == 0.1
    with Gallery.open(path) as gallery:
        assert set(gallery.settings()) == {"target"}


def test_command_shows_a_kept_target_that_products_cannot_keep_any_more(shell: Shell, path: Path) -> None:
    assert "can be told only with labels of two photos" in shell("calibrate", path, "--max-wrong", "0.1").err
    with Gallery.open(path) as gallery:
        store(gallery, Target(max_wrong=0.1))
    done = shell("calibrate", path)
    assert done.code == 0
    assert "10% wrong" in done.out
    assert "refused" in done.out
    assert done.err.startswith("warning: max_wrong: ")


def test_doctor_says_how_many_products_tell_a_share(
    shell: Shell, tiny_bundle: Path, path: Path, tmp_path: Path
) -> None:
    def problems(gallery: Path) -> str:
        found = json.loads(shell("doctor", "--gallery", gallery, "-m", tiny_bundle, "--json").out)
        return str(found["problems"][-1])

    shell("calibrate", path, "--max-false-accept", "0.01", "-m", tiny_bundle)
    assert problems(path).endswith(
        "42 products are too few to tell 1% false accepts: enroll 299 or more, or allow a larger share"
    )
    with Recognizer.open(tiny_bundle) as embedder, embedder.create_gallery(tmp_path / "empty.gallery") as empty:
        store(empty, Target(max_false_accept=0.01))
    assert "no product is enrolled yet" in problems(tmp_path / "empty.gallery")


def test_command_with_too_few_products(shell: Shell, path: Path, recognizer: Recognizer) -> None:
    recognizer.gallery.remove(range(1, 31))
    done = shell("calibrate", path)
    assert done.code == 0
    assert "too few for a threshold" in done.out
    assert json.loads(shell("calibrate", path, "--json").out.splitlines()[0])["threshold"] is None


def test_recognize_by_a_rate(shell: Shell, tiny_bundle: Path, path: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(IMAGE).save(tmp_path / "scene.png")
    done = shell("recognize", path, "scene.png", "-m", tiny_bundle, "--max-false-accept", "0.1", "--json")
    assert json.loads(done.out)["calibration"]["state"] == "calibrated", done.err
    (answer,) = map(json.loads, done.out.splitlines())
    table = shell("recognize", path, "scene.png", "-m", tiny_bundle, "--max-false-accept", "0.1").out
    assert f"score ≥ {answer['calibration']['threshold']:.3f}" in table
    assert f"  {answer['items'][0]['score']:.3f} " in table
    both = shell("recognize", path, "scene.png", "-m", tiny_bundle, "--max-false-accept", "0.1", "--threshold", "0.5")
    assert (both.code, both.out) == (2, "")
    assert "expected either --threshold or --max-false-accept" in both.err


def test_recognize_says_if_products_are_too_few_for_a_rate(
    shell: Shell, tiny_bundle: Path, path: Path, tmp_path: Path, recognizer: Recognizer
) -> None:
    from PIL import Image

    Image.fromarray(IMAGE).save(tmp_path / "scene.png")
    recognizer.gallery.remove(range(1, 31))
    done = shell("recognize", path, "scene.png", "-m", tiny_bundle, "--max-false-accept", "0.1")
    assert done.code == 0
    assert done.err.startswith("warning: 12 labels, too few to limit false accepts, which needs 20: ")
    assert shell("recognize", path, "scene.png", "-m", tiny_bundle).err == ""


def test_removed_products_do_not_stop_a_till(shell: Shell, tiny_bundle: Path, path: Path) -> None:
    kept = shell("calibrate", path, "--max-false-accept", "0.12", "--confidence", "0.8", "-m", tiny_bundle)
    assert kept.code == 0, kept.err
    with Recognizer.open(tiny_bundle, path) as till:
        found = till.recognize(IMAGE).calibration
        assert found is not None
        assert (found.state, found.confidence) == ("calibrated", 0.8)
        till.gallery.remove(range(1, 21))
        till.calibration(wait=True)
        found = till.recognize(IMAGE).calibration
        assert found is not None
        assert (found.state, found.max_false_accept, found.confidence) == ("thin", 0.12, None)
        with pytest.raises(OptionError):
            till.recognize(IMAGE, max_false_accept=0.01, confidence=0.9)


def test_new_share_drops_the_confidence_of_the_old_one(shell: Shell, tiny_bundle: Path, path: Path) -> None:
    shell("calibrate", path, "--max-false-accept", "0.2", "--confidence", "0.8", "-m", tiny_bundle)
    again = json.loads(shell("calibrate", path, "--max-false-accept", "0.3", "-m", tiny_bundle, "--json").out)
    assert (again["max_false_accept"], again["confidence"]) == (0.3, None)
    more = json.loads(shell("calibrate", path, "--confidence", "0.7", "-m", tiny_bundle, "--json").out)
    assert (more["max_false_accept"], more["confidence"]) == (0.3, 0.7)
    done = shell("calibrate", path, "--forget", "--json")
    assert json.loads(done.out)["revision"] == json.loads(shell("gallery", "info", path, "--json").out)["revision"]
