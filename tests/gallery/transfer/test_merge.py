"""A local layer brought home, and patches that a kiosk follows meanwhile."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shitu_edge.errors import FingerprintError, GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.layers import Layers
from shitu_edge.gallery.transfer import merge as module
from shitu_edge.gallery.transfer.merge import Merged, merge_layer
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.gallery.operations import Content, Facts, Model, check_content, check_model, choose, do, origin, row
from tests.gallery.rows import DIM, Rows, create, new_items, older_labels, relabel, unit, unit_rows
from tests.shell import Shell

KINDS = ("add", "rename", "remove", "replace", "rollback", "change", "rename", "set", "rollback", "remove")
"""What the center does before each of ten patches."""


@pytest.fixture
def center(tmp_path: Path) -> Iterator[Gallery]:
    with create(tmp_path / "shop.gallery") as opened:
        opened.add(items([("tea", "1.jpg", 1), ("tea", "2.jpg", 2), ("cocoa", "3.jpg", 3)]))
        yield opened


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Gallery]:
    with create(tmp_path / "till.gallery") as opened:
        yield opened


def items(facts: list[Facts]) -> list[NewGalleryItem]:
    return [NewGalleryItem(label, source, row(seed), origin(seed)) for label, source, seed in facts]


def near(seed: int, cosine: float) -> Rows:
    """Return a unit row at this cosine to that of a seed."""
    first = row(seed).astype(np.float64)
    other = row(seed + 1) - (row(seed + 1) @ first) * first
    mixed = cosine * first + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    found: Rows = unit(mixed[None])[0]
    return found


def check_search(layers: Layers, central: Content, own: Content) -> None:
    """Check the answers of both layers against comparing with every item of two dictionaries."""
    contents = central | {-item: facts for item, facts in own.items()}
    ids = list(contents)
    rows = np.stack([row(contents[item][2]) for item in ids])
    queries = unit_rows(3, DIM, seed=11)
    for query, matches in zip(queries, layers.search(queries, 12).matches, strict=True):
        cosines = rows @ query
        best = np.sort(cosines)[::-1][:12]
        np.testing.assert_allclose([match.similarity for match in matches], best, atol=2e-6)
        found = [match.item_id for match in matches]
        np.testing.assert_allclose([cosines[ids.index(item)] for item in found], best, atol=2e-6)
        assert [match.label for match in matches] == [contents[item][0] for item in found]


@pytest.mark.parametrize("seed", range(3))
def test_ten_patches_beside_local_additions_and_the_way_home(tmp_path: Path, seed: int) -> None:
    chance, model, own = random.Random(seed), Model.empty(), Content()
    with create(tmp_path / "shop.gallery") as center, create(tmp_path / "till.gallery") as local:
        operation = ["add", [(f"product {number % 12}", f"{number}.jpg", number) for number in range(60)]]
        do(center, operation)
        model = model.after(operation)
        center.copy(tmp_path / "kiosk.gallery")
        with Gallery.open(tmp_path / "kiosk.gallery", background=False) as kiosk:
            layers = Layers(kiosk, local)
            for number, kind in enumerate(KINDS):
                new: list[Facts] = [(f"product {chance.randrange(14)}", "till", 5000 + 10 * number + n) for n in (0, 1)]
                new.append(chance.choice([*model.content.values()] or [("tea", "till", 4999)]))  # which the center has
                for facts, item in zip(new, local.add(items(new)), strict=True):
                    own[item] = facts
                if number == 6:
                    gone = local.remove([min(own)])
                    del own[gone[0].id]
                operation = choose(chance, model, (kind,))
                do(center, operation)
                model = model.after(operation)
                base = kiosk.revision
                if center.revision > base:
                    write_patch(center, base, center.revision, tmp_path / "next.patch")
                    assert apply_patch(kiosk, tmp_path / "next.patch") is not None
                check_model(kiosk, model)
                check_content(local, own)
                check_search(layers, model.content, own)
            base = kiosk.revision
            there = {(facts[0], facts[2]) for facts in model.content.values()}
            lacking = [facts for facts in own.values() if (facts[0], facts[2]) not in there]
            assert 0 < len(lacking) < len(own)
            done = merge_layer(center, local)
            assert (len(done.ids), done.known, done.dropped) == (len(lacking), len(own) - len(lacking), 0)
            model = model.after(["add", lacking])
            check_model(center, model)
            check_content(local, own)
            assert merge_layer(kiosk, local, add=False, drop=True).dropped == len(own) - len(lacking)
            own = {item: facts for item, facts in own.items() if facts in lacking}
            check_content(local, own)
            write_patch(center, base, center.revision, tmp_path / "next.patch")
            assert apply_patch(kiosk, tmp_path / "next.patch") is not None
            assert merge_layer(kiosk, local, add=False, drop=True) == Merged((), len(own), 0, len(own))
            assert (len(local), kiosk.revision) == (0, center.revision)
            check_model(kiosk, model)


def test_merge_adds_items_as_they_are_in_one_revision(center: Gallery, local: Gallery) -> None:
    facts: list[Facts] = [(f"own {number % 7}", f"{number}.jpg", 100 + number) for number in range(130)]
    local.add(items(facts))
    before = center.revision
    done = merge_layer(center, local, author="ada", note="week 12")
    assert done == Merged(tuple(range(4, 134)), 0, 0, 0)
    assert center.revision == before + 1
    entry = center.history.log()[0]
    assert (entry.author, entry.note, entry.added) == ("ada", "week 12", 130)
    expected = {1: ("tea", "1.jpg", 1), 2: ("tea", "2.jpg", 2), 3: ("cocoa", "3.jpg", 3)}
    check_content(center, expected | dict(zip(done.ids, facts, strict=True)))
    assert len(local) == 130


def test_merge_again_adds_nothing_and_makes_no_revision(center: Gallery, local: Gallery) -> None:
    local.add(items([("own", "", 5), ("own", "", 5), ("tea", "", 6)]))
    assert merge_layer(center, local) == Merged((4, 5, 6), 0, 0, 0)
    before = center.revision, local.revision
    assert merge_layer(center, local) == Merged((), 3, 0, 0)
    assert (center.revision, local.revision) == before
    assert merge_layer(center, local, drop=True) == Merged((), 3, 0, 3)
    assert merge_layer(center, local, drop=True) == Merged((), 0, 0, 0)
    assert (center.revision, local.revision) == (before[0], before[1] + 1)


@pytest.mark.parametrize(
    ("label", "cosine", "known"),
    [("tea", 1, 1), ("tea", 0.99995, 1), ("tea", 0.9998, 0), ("cocoa", 1, 0), ("new", 1, 0)],
)
def test_known_is_the_same_label_at_nearly_the_same_embedding(
    center: Gallery, local: Gallery, label: str, cosine: float, known: int
) -> None:
    local.add([NewGalleryItem(label, "other.jpg", near(2, cosine))])
    done = merge_layer(center, local)
    assert (done.known, len(done.ids)) == (known, 1 - known)


def test_drop_removes_in_one_revision_that_can_be_rolled_back(center: Gallery, local: Gallery) -> None:
    local.add(items([("own", "a", 10), ("own", "b", 11)]))
    local.add(items([("tea", "c", 1)]))
    assert merge_layer(center, local, drop=True) == Merged((4, 5), 1, 0, 3)
    assert (len(local), local.revision) == (0, 4)
    assert [entry.note for entry in (local.history.log()[0], center.history.log()[0])] == [
        "merged into shop.gallery",
        "merged from till.gallery",
    ]
    local.history.rollback(3)
    check_content(local, {1: ("own", "a", 10), 2: ("own", "b", 11), 3: ("tea", "c", 1)})


def test_without_adding_only_what_the_center_has_is_dropped(center: Gallery, local: Gallery) -> None:
    local.add(items([("own", "a", 10), ("tea", "b", 1)]))
    before = center.revision
    assert merge_layer(center, local, add=False) == Merged((), 1, 1, 0)
    assert len(local) == 2
    assert merge_layer(center, local, add=False, drop=True) == Merged((), 1, 1, 1)
    check_content(local, {1: ("own", "a", 10)})
    assert center.revision == before


def test_items_relabeled_or_removed_meanwhile_are_not_dropped(
    center: Gallery, local: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.add(items([("own", "a", 10), ("own", "b", 11), ("own", "c", 12)]))
    new = module._new

    def late(*arguments: Any) -> Any:
        yield from new(*arguments)
        relabel(local, [1], "another")
        local.remove([2])

    monkeypatch.setattr(module, "_new", late)
    assert merge_layer(center, local, drop=True) == Merged((4, 5, 6), 0, 0, 1)
    check_content(local, {1: ("another", "a", 10)})


def test_merge_that_ends_before_it_drops_adds_none_twice(
    center: Gallery, local: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.add(items([("own", "a", 10), ("own", "b", 11)]))
    with monkeypatch.context() as patch:
        patch.setattr(module, "_drop", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            merge_layer(center, local, drop=True)
    assert (len(center), len(local)) == (5, 2)
    assert merge_layer(center, local, drop=True) == Merged((), 2, 0, 2)


def test_merge_that_fails_changes_neither(center: Gallery, local: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    local.add(items([("own", "a", 10), ("own", "b", 11)]))
    before = center.revision, local.revision
    new = module._new

    def broken(*arguments: Any) -> Any:
        yield next(new(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_new", broken)
    with pytest.raises(KeyboardInterrupt):
        merge_layer(center, local, drop=True)
    assert (center.revision, local.revision, len(center), len(local)) == (*before, 3, 2)


def _interrupted(*_: object) -> int:
    raise KeyboardInterrupt


def test_merges_at_once_add_each_item_once(center: Gallery, local: Gallery) -> None:
    local.add(items([("own", f"{number}", 100 + number) for number in range(40)]))
    start, added = threading.Barrier(4), list[int]()

    def merge() -> None:
        with Gallery.open(center.path, background=False) as one, Gallery.open(local.path, background=False) as other:
            start.wait()
            added.append(len(merge_layer(one, other).ids))

    threads = [threading.Thread(target=merge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 0, 0, 40]
    assert len(center) == 43


def test_labels_of_an_older_layer_are_known_in_their_normal_form(center: Gallery, local: Gallery) -> None:
    with older_labels():
        local.add([NewGalleryItem("Cafe\u0301 ", "", row(20))])
    assert merge_layer(center, local).ids == (4,)
    assert center.items()[-1].label == "Café"
    assert merge_layer(center, local, drop=True) == Merged((), 1, 0, 1)


def test_a_copy_that_has_gone_its_own_way_is_brought_home(center: Gallery, tmp_path: Path) -> None:
    center.copy(tmp_path / "kiosk.gallery")
    with Gallery.open(tmp_path / "kiosk.gallery", background=False) as kiosk:
        kiosk.add(items([("own", "a", 10)]))
        assert merge_layer(center, kiosk) == Merged((4,), 3, 0, 0)


# -- refused


def test_merge_refuses_one_file_under_two_names(center: Gallery, tmp_path: Path) -> None:
    (tmp_path / "link.gallery").symlink_to(center.path)
    with Gallery.open(tmp_path / "link.gallery", background=False) as link:
        for local in (center, link):
            with pytest.raises(GalleryError, match=r"^[^\n]*: is the central gallery itself; [^\n]*$"):
                merge_layer(center, local, drop=True)
    assert len(center) == 3


@pytest.mark.parametrize(("fingerprint", "dim"), [("0" * 32, DIM), ("f" * 32, DIM + 1)])
def test_merge_refuses_another_extractor(center: Gallery, tmp_path: Path, fingerprint: str, dim: int) -> None:
    with Gallery.create(tmp_path / "other.gallery", extractor="big", fingerprint=fingerprint, dim=dim) as other:
        other.add(new_items(unit_rows(2, dim)))
        before = center.revision
        with pytest.raises(FingerprintError, match=r"^[^\n]*other\.gallery: was made with extractor big [^\n]*$"):
            merge_layer(center, other, drop=True)
        assert (center.revision, len(other)) == (before, 2)


# -- the command line


@pytest.fixture
def files(center: Gallery, local: Gallery, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[int, int]]:
    """The center's and the layer's galleries, with what they hold now."""
    local.add(items([("own", "a", 10), ("tea", "b", 1)]))
    return lambda: (len(center), len(local))


def test_command_tells_what_became_of_the_items(
    shell: Shell, files: Callable[[], tuple[int, int]], center: Gallery
) -> None:
    seen = shell("gallery", "merge", "shop.gallery", "till.gallery", "--no-add")
    assert (
        seen.out == "shop.gallery: 0 items added from till.gallery, 1 already there, 1 missing; 3 items in revision 2\n"
    )
    done = shell("gallery", "merge", "shop.gallery", "till.gallery", "--author", "ada", "--note", "home")
    assert done.out == "shop.gallery: 1 item added from till.gallery, 1 already there; 4 items in revision 3\n"
    assert (center.history.log()[0].author, center.history.log()[0].note) == ("ada", "home")
    assert files() == (4, 2)
    dropped = shell("gallery", "merge", "shop.gallery", "till.gallery", "--drop")
    assert dropped.out == (
        "shop.gallery: 0 items added from till.gallery, 2 already there, 2 dropped from till.gallery; "
        "4 items in revision 3\n"
    )
    assert files() == (4, 0)
    assert {run.code for run in (seen, done, dropped)} == {0}


def test_command_prints_json(shell: Shell, files: Callable[[], tuple[int, int]]) -> None:
    done = shell("gallery", "merge", "shop.gallery", "till.gallery", "--drop", "--json")
    assert json.loads(done.out) == {
        "schema_version": 1,
        "gallery": "shop.gallery",
        "revision": 3,
        "items": 4,
        "local": "till.gallery",
        "added": 1,
        "known": 1,
        "left": 0,
        "dropped": 2,
        "ids": [4],
    }
    assert files() == (4, 0)


def test_command_refuses_the_gallery_itself_and_what_is_missing(
    shell: Shell, files: Callable[[], tuple[int, int]]
) -> None:
    for name, words in (("shop.gallery", "is the central gallery itself"), ("none.gallery", "cannot be opened")):
        done = shell("gallery", "merge", "shop.gallery", name, "--drop")
        assert (done.code, done.out) == (1, "")
        assert words in done.err
    assert files() == (3, 2)
