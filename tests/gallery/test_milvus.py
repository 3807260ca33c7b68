from __future__ import annotations

import builtins
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import FingerprintError, GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.milvus import MilvusGallery, Pushed, push
from shitu_edge.gallery.milvus.collection import Collection
from shitu_edge.gallery.protocol import require_extractor

from .rows import (
    DIM,
    Rows,
    brute_force,
    clustered_rows,
    create,
    new_items,
    older_labels,
    relabel,
    run_python,
    skip_without_milvus,
    unit_rows,
)

NAME = "shop"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.gallery"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with create(path) as opened:
        yield opened


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A Milvus Lite file."""
    skip_without_milvus()
    return str(tmp_path / "milvus.db")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the rows written, marks included."""
    ids: list[int] = []
    upsert = Collection._upsert

    def counted(self: Collection, rows: Iterator[dict[str, int]]) -> None:
        kept = list(rows)
        upsert(self, kept)
        ids.extend(row["item"] for row in kept)

    monkeypatch.setattr(Collection, "_upsert", counted)
    return ids


def _add(gallery: Gallery, rows: Rows, labels: Sequence[str]) -> list[int]:
    return gallery.add(NewGalleryItem(label, "", row) for label, row in zip(labels, rows, strict=True))


def _labels(uri: str, rows: Rows) -> list[str]:
    """The label of the best match of each row."""
    with MilvusGallery.open(uri, NAME) as pushed:
        return [matches[0].label for matches in pushed.search_with_revision(rows, 1)[1]]


def _all(uri: str, gallery: Gallery) -> set[tuple[int, str]]:
    """All items that a search can find, each once."""
    with MilvusGallery.open(uri, NAME) as pushed:
        revision, [matches] = pushed.search_with_revision(unit_rows(1), 10_000)
    assert revision == gallery.revision
    found = [(match.item_id, match.label) for match in matches]
    assert len(found) == len(set(found))
    return set(found)


def _wanted(gallery: Gallery) -> set[tuple[int, str]]:
    return {(entry.id, entry.label) for entry in gallery.items()}


def test_search_is_brute_force(uri: str, gallery: Gallery) -> None:
    rows = clustered_rows(600, DIM, clusters=60)
    queries = clustered_rows(40, DIM, seed=0, clusters=60)
    gallery.add(new_items(rows))
    assert push(gallery, uri, NAME) == Pushed(600, 0, 2)
    with MilvusGallery.open(uri, NAME) as pushed:
        revision, answers = pushed.search_with_revision(queries, 10)
        assert pushed.meta == gallery.meta
    order, _ = brute_force(rows, queries, 10)
    assert revision == 2
    found = [[match.item_id - 1 for match in matches] for matches in answers]
    assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, order.tolist(), strict=True)]) > 0.99
    assert [row[0] for row in found] == order[:, 0].tolist()
    for query, matches in zip(queries, answers, strict=True):
        assert all(match.label == f"label {match.item_id - 1}" for match in matches)
        similarities = [match.similarity for match in matches]
        assert similarities == sorted(similarities, reverse=True)
        np.testing.assert_allclose(similarities, rows[[m.item_id - 1 for m in matches]] @ query, atol=1e-5)


def test_equal_similarities_come_by_id(uri: str, gallery: Gallery) -> None:
    row = unit_rows(1)
    _add(gallery, np.repeat(row, 5, axis=0), ["tea"] * 5)
    push(gallery, uri, NAME)
    with MilvusGallery.open(uri, NAME) as pushed:
        [matches] = pushed.search_with_revision(row, 5)[1]
    assert [match.item_id for match in matches] == [1, 2, 3, 4, 5]


def test_an_empty_gallery_finds_nothing(uri: str, gallery: Gallery) -> None:
    assert push(gallery, uri, NAME) == Pushed(0, 0, 1)
    with MilvusGallery.open(uri, NAME) as pushed:
        assert pushed.search_with_revision(unit_rows(3)) == (1, [(), (), ()])
        assert pushed.search_with_revision(unit_rows(1)[:0]) == (1, [])


def test_only_what_has_changed_is_sent(uri: str, gallery: Gallery, sent: list[int]) -> None:
    rows = unit_rows(30)
    gallery.add(new_items(rows[:20]))
    assert push(gallery, uri, NAME) == Pushed(20, 0, 2)
    assert sent == list(range(1, 21))
    assert push(gallery, uri, NAME) == Pushed(0, 0, 2)

    sent.clear()
    _add(gallery, rows[20:22], ["new 0", "new 1"])
    relabel(gallery, [3, 4], "renamed")
    gallery.remove([5])
    assert push(gallery, uri, NAME) == Pushed(4, 3, 5)
    assert sorted(sent) == [3, 3, 4, 4, 5, 21, 22], "a renamed item goes once by each name, a removed one to be marked"
    assert _all(uri, gallery) == _wanted(gallery)
    assert _labels(uri, rows[[2, 3, 20, 21]]) == ["renamed", "renamed", "new 0", "new 1"]

    sent.clear()
    gallery.history.rollback(2)
    assert push(gallery, uri, NAME) == Pushed(3, 4, 6)
    assert sorted(sent) == [3, 3, 4, 4, 5, 21, 22], "under their ids again"
    assert _all(uri, gallery) == _wanted(gallery)
    relabel(gallery, [3], "renamed")
    assert push(gallery, uri, NAME) == Pushed(1, 1, 7)
    with closing(Collection(uri, NAME, "", 5)) as collection:
        assert sum(map(len, collection.read("key >= 0", []))) == 21, "what no search can ask for has gone"


def test_where_history_is_forgotten_the_rows_are_compared(uri: str, gallery: Gallery, sent: list[int]) -> None:
    gallery.add(new_items(unit_rows(20)))
    push(gallery, uri, NAME)
    relabel(gallery, [3], "renamed")
    gallery.remove([5, 6])
    gallery.history.prune(0)
    sent.clear()
    assert push(gallery, uri, NAME) == Pushed(1, 3, 4)
    assert sorted(sent) == [3, 3, 5, 6]
    assert _all(uri, gallery) == _wanted(gallery)


class _Interruption:
    """Raises in place of the write after the first few."""

    def __init__(self, patch: pytest.MonkeyPatch, writes: int) -> None:
        self._left = writes
        for name in ("_upsert", "delete", "record"):
            patch.setattr(Collection, name, self._counted(getattr(Collection, name)))

    def _counted(self, method: Callable[..., None]) -> Callable[..., None]:
        def write(*arguments: object, **facts: object) -> None:
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            method(*arguments, **facts)

        return write


@pytest.mark.parametrize("meanwhile", [False, True], ids=["same revision", "later revision"])
def test_a_push_cut_short_is_unseen_and_can_be_repeated(
    uri: str, gallery: Gallery, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    """Stopped before each request that writes; then repeated, or another revision is pushed instead."""
    monkeypatch.setattr(sys.modules[push.__module__], "AT_ONCE", 2)
    gallery.add(new_items(unit_rows(8)))
    push(gallery, uri, NAME)
    for writes in range(8):
        before, revision_before = _wanted(gallery), gallery.revision
        _add(gallery, unit_rows(3, seed=writes), ["new"] * 3)
        relabel(gallery, [1, 2], f"renamed {writes}")
        gallery.remove([entry.id for entry in gallery.items()[2:4]])

        with monkeypatch.context() as patch:
            _Interruption(patch, writes)
            with pytest.raises(KeyboardInterrupt):
                push(gallery, uri, NAME)

        with MilvusGallery.open(uri, NAME) as pushed:
            revision, [matches] = pushed.search_with_revision(unit_rows(1), 100)
        assert revision == revision_before
        assert sorted((match.item_id, match.label) for match in matches) == sorted(before)

        if meanwhile:
            gallery.history.rollback(revision_before)
            relabel(gallery, [2], f"renamed again {writes}")
        push(gallery, uri, NAME, settle_s=0)
        assert _all(uri, gallery) == _wanted(gallery)


def test_what_arrived_is_not_sent_again(uri: str, gallery: Gallery, sent: list[int]) -> None:
    _add(gallery, unit_rows(2500), ["tea"] * 2500)

    def stop(done: int, total: int) -> None:
        assert total == 2500
        if done == 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(gallery, uri, NAME, progress=stop)
    with pytest.raises(GalleryError, match="first push is not complete; push again"):
        MilvusGallery.open(uri, NAME)
    assert len(sent) == 2000
    assert push(gallery, uri, NAME) == Pushed(2500, 0, 2)
    assert sorted(sent) == list(range(1, 2501))
    assert len(_all(uri, gallery)) == 2500


@pytest.mark.parametrize("step", ["create_collection", "create_index", "load_collection"])
def test_a_collection_cut_short_in_the_making_is_completed(
    uri: str, gallery: Gallery, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    import pymilvus

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    gallery.add(new_items(unit_rows(3)))
    with monkeypatch.context() as patch:
        patch.setattr(pymilvus.MilvusClient, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            push(gallery, uri, NAME)
    with pytest.raises(GalleryError, match=r"with `shitu-edge gallery push`|first push is not complete"):
        MilvusGallery.open(uri, NAME)
    assert push(gallery, uri, NAME) == Pushed(3, 0, 2)
    assert _all(uri, gallery) == _wanted(gallery)


def test_a_search_beside_a_push_sees_one_revision(uri: str, gallery: Gallery) -> None:
    """Each revision renames all items after itself, so that a mixture would show."""
    rows = unit_rows(12)
    _add(gallery, rows, ["2"] * 12)
    push(gallery, uri, NAME)
    seen: set[int] = set()
    problems: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            with MilvusGallery.open(uri, NAME) as pushed:
                while not done.is_set():
                    revision, [matches] = pushed.search_with_revision(rows[:1], 100)
                    assert sorted((m.item_id, m.label) for m in matches) == [(i, str(revision)) for i in range(1, 13)]
                    seen.add(revision)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    for revision in range(3, 13):
        relabel(gallery, range(1, 13), str(revision))
        push(gallery, uri, NAME)
    done.set()
    thread.join()
    assert not problems
    assert len(seen) > 3


def test_the_later_of_two_pushes_goes_on(uri: str, gallery: Gallery) -> None:
    _add(gallery, unit_rows(1500), ["tea"] * 1500)

    def overtake(done: int, total: int) -> None:
        if done == 1000:
            relabel(gallery, [1], "coffee")
            assert push(gallery, uri, NAME, settle_s=0) == Pushed(1500, 0, 3)

    with pytest.raises(GalleryError, match="another push has begun"):
        push(gallery, uri, NAME, progress=overtake)
    assert _all(uri, gallery) == _wanted(gallery)


def test_labels_of_any_script(uri: str, gallery: Gallery) -> None:
    labels = [
        "牛奶 250 ml",
        'it\'s "quoted"',
        "back\\slash \\' or 1 == 1",
        "🥛",
        "حليب",
        "{x}",
        "%",
    ]
    labels.append("é" * 200)
    rows = unit_rows(len(labels))
    _add(gallery, rows, labels)
    push(gallery, uri, NAME)
    assert _labels(uri, rows) == labels
    gallery.remove([1, 2, 3])
    push(gallery, uri, NAME)
    assert _all(uri, gallery) == _wanted(gallery)


@pytest.mark.parametrize("label", ["é" * 32_768, "\x1b[31mtea", "tea\t2", "tea\u200b"])
def test_a_label_of_an_older_gallery_is_refused_before_anything_is_sent(
    uri: str, gallery: Gallery, sent: list[int], label: str
) -> None:
    with older_labels():
        _add(gallery, unit_rows(2), ["tea", label])
    with pytest.raises(GalleryError, match=r"item 2: its label h.*; change it with `gallery relabel`"):
        push(gallery, uri, NAME)
    assert not sent
    with pytest.raises(GalleryError, match="does not exist; create it with `shitu-edge gallery push`"):
        MilvusGallery.open(uri, NAME)


def test_another_gallery_extractor_or_dimension_is_refused(uri: str, gallery: Gallery, tmp_path: Path) -> None:
    _add(gallery, unit_rows(2), ["tea", "coffee"])
    push(gallery, uri, NAME)
    with (
        create(tmp_path / "other") as other,
        pytest.raises(GalleryError, match="holds another gallery; push to a collection of another name"),
    ):
        push(other, uri, NAME)
    for i, (extractor, fingerprint, dim) in enumerate((("large", "a" * 32, DIM), ("tiny", "f" * 32, 8))):
        with (
            Gallery.create(tmp_path / str(i), extractor=extractor, fingerprint=fingerprint, dim=dim) as other,
            pytest.raises(FingerprintError, match=rf"holds 16 .* tiny \(ffffffff\), the gallery {dim} by {extractor}"),
        ):
            push(other, uri, NAME)
    assert _all(uri, gallery) == _wanted(gallery)

    with MilvusGallery.open(uri, NAME) as pushed:
        require_extractor(pushed, "renamed, but the same", "f" * 32)
        with pytest.raises(FingerprintError, match=r"tiny \(ffffffff\), but large \(aaaaaaaa\) is open"):
            require_extractor(pushed, "large", "a" * 32)


def test_only_a_copy_with_the_same_past_may_go_on(uri: str, gallery: Gallery, path: Path) -> None:
    rows = unit_rows(4)
    _add(gallery, rows[:2], ["tea", "coffee"])
    gallery.history.compact()
    copy = path.with_name("copy.gallery")
    shutil.copy(path, copy)
    _add(gallery, rows[2:3], ["milk"])
    push(gallery, uri, NAME)
    with Gallery.open(copy) as other:
        with pytest.raises(GalleryError, match="is at revision 3, the gallery only at 2; push from the newest copy"):
            push(other, uri, NAME)
        for row in rows[2:]:
            _add(other, row[None], ["juice"])
            with pytest.raises(GalleryError, match="revision 3 was pushed from another copy"):
                push(other, uri, NAME)
    gallery.history.compact()
    shutil.copy(path, copy)
    with Gallery.open(copy) as other:
        other.remove([1])
        assert push(other, uri, NAME) == Pushed(0, 1, 4)
        assert _all(uri, other) == _wanted(other)


def test_a_collection_replaced_by_another_gallery_is_noticed(uri: str, gallery: Gallery, tmp_path: Path) -> None:
    import pymilvus

    _add(gallery, unit_rows(2), ["tea", "coffee"])
    push(gallery, uri, NAME)
    with MilvusGallery.open(uri, NAME) as pushed:
        with closing(pymilvus.MilvusClient(uri)) as client:
            client.drop_collection(NAME)
        with pytest.raises(GalleryError, match="shop"):
            pushed.search_with_revision(unit_rows(1))
        with create(tmp_path / "other") as other:
            push(other, uri, NAME)
        with pytest.raises(GalleryError, match="was replaced by another gallery"):
            pushed.search_with_revision(unit_rows(1))


def test_a_collection_of_somebody_else_is_refused(uri: str, gallery: Gallery) -> None:
    import pymilvus

    with closing(pymilvus.MilvusClient(uri)) as client:
        client.create_collection(NAME, dimension=DIM)
        for use in (lambda: push(gallery, uri, NAME), lambda: MilvusGallery.open(uri, NAME)):
            with pytest.raises(GalleryError, match="was not created by `shitu-edge gallery push`"):
                use()


def test_impossible_searches_are_refused(uri: str, gallery: Gallery) -> None:
    _add(gallery, unit_rows(2), ["tea", "coffee"])
    push(gallery, uri, NAME)
    with MilvusGallery.open(uri, NAME) as pushed:
        with pytest.raises(GalleryError, match=r"shape \(Q, 16\), found \(2, 8\)"):
            pushed.search_with_revision(unit_rows(2, 8))
        with pytest.raises(GalleryError, match="k of at least 1, found 0"):
            pushed.search_with_revision(unit_rows(1), 0)
        with pytest.raises(GalleryError, match="finite"):
            pushed.search_with_revision(np.full((1, DIM), np.nan, np.float32))
        with pytest.raises(GalleryError, match="length 1"):
            pushed.search_with_revision(unit_rows(1) * np.float32(1.01))
    pushed.close()
    with pytest.raises(GalleryError, match="shop"):
        pushed.search_with_revision(unit_rows(1))


@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "somebody is silent"])
def test_a_server_that_does_not_answer_is_one_line_soon(silent: bool, capfd: pytest.CaptureFixture[str]) -> None:
    skip_without_milvus()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        if not silent:
            server.close()
        start = time.perf_counter()
        with pytest.raises(GalleryError, match="Fail connecting to server") as failure:
            MilvusGallery.open(f"http://user:secret@127.0.0.1:{port}", NAME, timeout_s=1)
        waited_s = time.perf_counter() - start
    assert waited_s < 30, "pymilvus by itself would try for minutes"
    assert "\n" not in str(failure.value)
    assert "secret" not in str(failure.value)
    assert capfd.readouterr() == ("", "")


def test_a_server_that_has_gone_is_one_line_soon(uri: str, gallery: Gallery, capfd: pytest.CaptureFixture[str]) -> None:
    from milvus_lite.server_manager import server_manager_instance

    push(gallery, uri, NAME)
    with MilvusGallery.open(uri, NAME, timeout_s=1) as pushed:
        server_manager_instance.release_server(uri)
        start = time.perf_counter()
        with pytest.raises(GalleryError, match="collection shop: ") as failure:
            pushed.search_with_revision(unit_rows(1))
        assert time.perf_counter() - start < 30
    assert "\n" not in str(failure.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("place", ["nonsense", "/nowhere/at/all/x.db", "ftp://host"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    skip_without_milvus()
    with pytest.raises(GalleryError, match=place):
        MilvusGallery.open(place, NAME)


_PUSH = """
import sys
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.milvus import MilvusGallery, push
with Gallery.open(sys.argv[1]) as gallery:
    row = gallery.embeddings([1])
    print(push(gallery, sys.argv[2], "shop").added)
with MilvusGallery.open(sys.argv[2], "shop") as pushed:
    print(pushed.search_with_revision(row)[0])
"""


def test_what_other_processes_have_pushed_is_there(uri: str, gallery: Gallery, path: Path) -> None:
    rows = unit_rows(30)
    for expected in (20, 10):
        gallery.add(new_items(rows[len(gallery) :][:expected]))
        assert run_python(_PUSH, path, uri).split() == [str(expected), str(gallery.revision)]
    assert _all(uri, gallery) == _wanted(gallery)


_OPEN = """
import sys
from shitu_edge.errors import GalleryError
from shitu_edge.gallery.milvus import MilvusGallery
try:
    MilvusGallery.open(sys.argv[1], "shop")
except GalleryError as error:
    print(error)
"""


def test_a_lite_file_that_another_process_has_open_is_refused(uri: str, gallery: Gallery) -> None:
    push(gallery, uri, NAME)
    with MilvusGallery.open(uri, NAME):
        line = run_python(_OPEN, uri)
    hint = "; is another process using it, or is it another kind of file?"
    assert line == f"{uri}, collection shop: Open local milvus failed{hint}\n"


def test_without_pymilvus_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: object) -> object:
        if name == "pymilvus":
            raise ImportError("No module named 'pymilvus'")
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(GalleryError, match=r"pip install pymilvus"):
        MilvusGallery.open("http://127.0.0.1:19530", NAME)
