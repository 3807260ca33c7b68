"""A local layer on a central gallery: searched as one gallery with the items of both."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shitu_edge.errors import FingerprintError, GalleryError
from shitu_edge.gallery import Gallery, Meta, NewGalleryItem
from shitu_edge.gallery.layers import Layers, open_local
from shitu_edge.results import SIMILARITY_ROUNDING

from .rows import DIM, create, new_items, unit_rows

META = Meta("tiny", "f" * 32, DIM)
EXACT = st.lists(
    st.tuples(st.permutations(range(DIM)).map(lambda order: order[:4]), st.tuples(*[st.sampled_from([-0.5, 0.5])] * 4)),
    max_size=12,
)
"""Places and values of unit rows whose products have no rounding, so that many are equal."""


def exact_rows(drawn: list[tuple[list[int], tuple[float, ...]]]) -> list[np.ndarray]:
    rows = np.zeros((len(drawn), DIM), np.float32)
    for row, (places, values) in zip(rows, drawn, strict=True):
        row[places] = values
    return list(rows)


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    """30 central items and 10 local ones."""
    with create(tmp_path / "shop.gallery") as central, create(tmp_path / "till.gallery") as local:
        central.add(new_items(unit_rows(30)))
        local.add(new_items(unit_rows(10, seed=1), "own"))
        yield Layers(central, local)


@settings(deadline=None, max_examples=60)
@given(central=EXACT, local=EXACT, queries=EXACT, k=st.integers(1, 30))
def test_search_is_that_of_one_gallery_with_all_items(
    central: list[tuple[list[int], tuple[float, ...]]],
    local: list[tuple[list[int], tuple[float, ...]]],
    queries: list[tuple[list[int], tuple[float, ...]]],
    k: int,
) -> None:
    """With ids in the order of both, as equal items come in the order of their ids: central ones first."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*map(exact_rows, (central, local))]
        items = [[NewGalleryItem(f"label {len(row.nonzero()[0])} {row[0]}", "", row) for row in some] for some in rows]
        paths = [Path(folder, name) for name in "abc"]
        with create(paths[0]) as one, create(paths[1]) as below, create(paths[2]) as above:
            one.add([*items[0], *items[1]])
            below.add(items[0])
            above.add(items[1])
            asked = np.array(exact_rows(queries), np.float32).reshape(-1, DIM)
            expected = one.search(asked, k)
            found = Layers(below, above).search(asked, k)
    assert (found.revision, found.local_revision) == (1 + bool(central), 1 + bool(local))
    numbers = {number + 1 if number < len(central) else len(central) - number - 1: number + 1 for number in range(24)}
    assert [
        [(numbers[match.item_id], match.label, match.similarity) for match in matches] for matches in found.matches
    ] == [[(match.item_id, match.label, match.similarity) for match in matches] for matches in expected]


def test_search_finds_the_nearest_of_random_items_of_both(layers: Layers) -> None:
    rows, ids = np.concatenate([unit_rows(30), unit_rows(10, seed=1)]), [*range(1, 31), *range(-1, -11, -1)]
    queries = unit_rows(20, seed=2)
    for query, matches in zip(queries, layers.search(queries, 7).matches, strict=True):
        cosines = rows @ query
        best = np.argsort(-cosines, kind="stable")[:7]
        assert [match.item_id for match in matches] == [ids[place] for place in best]
        np.testing.assert_allclose(
            [match.similarity for match in matches], cosines[best], rtol=0, atol=SIMILARITY_ROUNDING
        )
    assert {match.item_id < 0 for match in layers.search(queries, 40).matches[0]} == {True, False}


def test_search_without_a_local_layer_is_the_gallerys_own(layers: Layers) -> None:
    alone, queries = Layers(layers.central), unit_rows(3, seed=3)
    found = alone.search(queries, 5)
    assert (found.revision, found.local_revision) == (2, None)
    assert found.matches == layers.central.search(queries, 5)
    assert (len(alone), len(layers), alone.revisions, layers.revisions) == (30, 40, (2,), (2, 2))


def test_items_and_embeddings_are_those_of_both_in_any_order(layers: Layers) -> None:
    assert layers.local is not None
    items = layers.items()
    assert [(item.id, item.label) for item in items[29:32]] == [(30, "label 29"), (-1, "own 0"), (-2, "own 1")]
    mixed = [-3, 5, -1, 30, 5]
    expected = [unit_rows(10, seed=1)[2], unit_rows(30)[4], unit_rows(10, seed=1)[0], unit_rows(30)[29]]
    np.testing.assert_array_equal(layers.embeddings(mixed), [*expected, expected[1]])
    layers.local.add([NewGalleryItem("label 3", "", unit_rows(1, seed=5)[0])])
    assert [item.id for item in layers.items("label 3")] == [4, -11]
    assert len(layers.labels()) == 40
    with pytest.raises(GalleryError, match="no item has the id 12"):
        layers.embeddings([1, -12])


def test_state_tells_every_change_of_either_layer(layers: Layers) -> None:
    assert layers.local is not None
    before = layers.state()
    layers.central.remove([1, 2])
    layers.local.add(new_items(unit_rows(3, seed=4), "more"))
    after = layers.state()
    assert (before.revisions, after.revisions) == ((2, 2), (3, 3))
    assert before.digest != after.digest
    assert layers.changed_since(before.revisions) == 5
    assert layers.changed_since((3, 2)) == 3
    layers.central.history.rollback(2)
    layers.local.history.rollback(2)
    assert layers.state().digest == before.digest, "a checksum of the content alone"


def test_states_are_all_pairs_that_few_changes_lie_between(layers: Layers) -> None:
    assert layers.local is not None
    layers.central.remove([1, 2])  # revision 3: 2 changes
    layers.local.add(new_items(unit_rows(3, seed=4), "more"))  # revision 3: 3 changes
    assert [(state.revisions, state.changed) for state in layers.states(5)] == [
        ((3, 3), 0),
        ((2, 3), 2),
        ((3, 2), 3),
    ]
    assert [state.revisions for state in layers.states(5.5)][-1] == (2, 2)
    assert [state.revisions for state in layers.states(0)] == [(3, 3)]
    with layers.central.change() as change:
        change.set("target", b"5")
    assert [state.revisions for state in layers.states(1)] == [(4, 3), (3, 3)], "a setting is no change of an item"
    for number in range(120):
        layers.local.add(new_items(unit_rows(1, seed=number), "many"))
    assert len(layers.states(10_000)) == 100


def test_searches_while_both_layers_change(layers: Layers) -> None:
    """Each answer is of one revision of each layer; ids of the two never mix."""
    assert layers.local is not None
    local, done, errors = layers.local, threading.Event(), []

    def change() -> None:
        try:
            for number in range(30):
                local.add(new_items(unit_rows(1, seed=50 + number), "new"))
                layers.central.remove([number + 1])
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=change)
    thread.start()
    seen = set()
    while True:
        last = done.is_set()
        found = layers.search(unit_rows(1, seed=9), 100)
        assert found.local_revision is not None
        ids = [match.item_id for match in found.matches[0]]
        assert sum(number < 0 for number in ids) == 10 + found.local_revision - 2
        assert sum(number > 0 for number in ids) == 30 - (found.revision - 2)
        seen.add((found.revision, found.local_revision))
        if last:
            break
    thread.join()
    assert errors == []
    assert (32, 32) in seen


# -- opening


def test_open_local_creates_a_missing_file_and_opens_it_again(layers: Layers, tmp_path: Path) -> None:
    with open_local(tmp_path / "new.gallery", layers.central, META) as local:
        assert (local.meta, len(local)) == (META, 0)
        assert local.history.id != layers.central.history.id
        local.add(new_items(unit_rows(2)))
    with open_local(str(tmp_path / "new.gallery"), layers.central, META) as again:
        assert len(again) == 2


def test_open_local_refuses_the_gallery_itself_under_any_name(layers: Layers, tmp_path: Path) -> None:
    path = layers.central.path
    (tmp_path / "symbolic.gallery").symlink_to(path)
    for local in (path, str(path), layers.central, tmp_path / "symbolic.gallery", tmp_path / "." / path.name):
        with pytest.raises(GalleryError, match=r"^[^\n]*: is the gallery itself; name another file[^\n]*$"):
            open_local(local, layers.central, META)
    assert len(layers.central) == 30, "still open"


def test_open_local_refuses_a_copy_of_the_gallery(layers: Layers, tmp_path: Path) -> None:
    layers.central.copy(tmp_path / "copy.gallery")
    with pytest.raises(GalleryError, match=r"copy\.gallery: is a copy of .*shop\.gallery; name a file of its own"):
        open_local(tmp_path / "copy.gallery", layers.central, META)


def test_open_local_refuses_another_extractor(layers: Layers, tmp_path: Path) -> None:
    Gallery.create(tmp_path / "other.gallery", extractor="big", fingerprint="0" * 32, dim=DIM).close()
    with pytest.raises(FingerprintError, match=r"other\.gallery: was made with extractor big"):
        open_local(tmp_path / "other.gallery", layers.central, META, "tiny")


@pytest.mark.parametrize("content", [b"", b"no gallery at all", None])
def test_open_local_refuses_what_is_no_gallery(layers: Layers, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "wrong.gallery"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(GalleryError, match=r"^[^\n]*wrong\.gallery"):
        open_local(path, layers.central, META)
    if content is not None:
        assert path.read_bytes() == content


def test_open_local_that_cannot_be_created_is_one_line(layers: Layers, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"^[^\n]*till\.gallery: there is no folder [^\n]*none$"):
        open_local(tmp_path / "none" / "till.gallery", layers.central, META)


def test_open_local_by_two_processes_at_once_opens_one_file(
    layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has created it between the look and the creation."""
    create(tmp_path / "race.gallery").close()
    there, looks = os.path.lexists, iter([False])
    monkeypatch.setattr("shitu_edge.gallery.layers.os.path.lexists", lambda path: next(looks, there(path)))
    with open_local(tmp_path / "race.gallery", layers.central, META) as local:
        assert len(local) == 0


_READS = """
import os, sys
import numpy as np
from shitu_edge import Gallery, GalleryError, NewGalleryItem
from shitu_edge.gallery.layers import Layers, open_local
os.setgroups([]); os.setgid(65534); os.setuid(65534)
row = np.eye(1, 16, dtype=np.float32)
with Gallery.open("shop.gallery") as central, open_local("till.gallery", central, central.meta) as local:
    print([match.item_id for match in Layers(central, local).search(row, 1).matches[0]])
    try:
        local.add([NewGalleryItem("tea", "", row[0])])
    except GalleryError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root becomes other users")
def test_user_who_may_only_read_a_local_layer_is_answered_from_it() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with create(folder / "shop.gallery") as central, create(folder / "till.gallery") as local:
            central.add(new_items(unit_rows(5)))
            local.add([NewGalleryItem("own", "", np.eye(1, DIM, dtype=np.float32)[0])])
        for file in folder.iterdir():
            file.chmod(0o644)
        command = [sys.executable, "-c", _READS]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=120
        )
    assert done.returncode == 0, done.stderr
    answered, refused = done.stdout.splitlines()
    assert answered == "[-1]"
    assert "till.gallery" in refused
