from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shitu_edge.gallery.index import GraphIndex, GraphParameters, Ids
from shitu_edge.gallery.index.exact import ExactIndex, merge
from shitu_edge.gallery.live.view import Roster, View, contains
from tests.gallery.rows import DIM, Rows, brute_force, build_graph, unit_rows

COMPLETE = GraphParameters(m=128, ef_construction=200, ef=2)
"""All of fewer than 128 items are linked to each other, so that what is found is exact whatever `ef` is."""

ROWS = unit_rows(120)
"""The row of item i + 1, in all that follows."""
QUERIES = np.concatenate([ROWS[:3], unit_rows(5, seed=1)])


def _named(labels: Sequence[str]) -> tuple[NDArray[np.int32], list[str]]:
    """Return labels as places in a list of names."""
    names = sorted(set(labels))
    return np.array([names.index(label) for label in labels], np.int32), names


def _ids(*numbers: int) -> Ids:
    return np.array(numbers, np.int64)


def _rows(ids: Ids) -> Rows:
    rows: Rows = ROWS[ids - 1]
    return rows


def _index(*numbers: int) -> ExactIndex:
    return ExactIndex(_ids(*numbers), _rows(_ids(*numbers)))


def _graph(ids: Ids, parameters: GraphParameters = COMPLETE) -> GraphIndex:
    return build_graph(ids, _rows(ids), parameters)


Searched = Callable[[Rows, int], tuple[Ids, Rows]]


def _check(search: Searched, numbers: set[int], k: int = 1000) -> None:
    """Compare a search with brute force over some items."""
    ids = _ids(*sorted(numbers))
    order, cosines = brute_force(_rows(ids), QUERIES, k)
    found, similarities = search(QUERIES, k)
    np.testing.assert_array_equal(found, ids[order])
    np.testing.assert_allclose(similarities, cosines, atol=1e-6)
    assert found.dtype == np.int64
    assert similarities.dtype == np.float32


# -- which are here, and their labels


def test_contains_looks_into_any_shape() -> None:
    wanted = np.array([[0, 1], [5, 9], [10, -3]], np.int64)
    np.testing.assert_array_equal(contains(_ids(1, 5, 9), wanted), [[False, True], [True, True], [False, False]])
    np.testing.assert_array_equal(contains(_ids(), wanted), np.zeros((3, 2), bool))
    assert contains(_ids(1), _ids()).shape == (0,)


def test_a_roster_follows_and_its_predecessors_stay() -> None:
    rosters = [Roster.empty()]
    rosters.append(rosters[-1].changed(_ids(), _ids(2, 4, 7), *_named(["tea", "milk", "tea"])))
    rosters.append(rosters[-1].changed(_ids(4), _ids(1, 9), *_named(["milk", "rice"])))
    rosters.append(rosters[-1].changed(_ids(2, 9), _ids(2, 4), *_named(["rice", "tea"])))
    rosters.append(rosters[-1].changed(_ids(1, 2, 4, 7), _ids(), *_named([])))

    wanted = [
        {},
        {2: "tea", 4: "milk", 7: "tea"},
        {1: "milk", 2: "tea", 7: "tea", 9: "rice"},
        {1: "milk", 2: "rice", 4: "tea", 7: "tea"},
        {},
    ]
    for roster, labels in zip(rosters, wanted, strict=True):
        assert len(roster) == len(labels)
        assert dict(zip(roster.ids.tolist(), roster.labels(roster.ids), strict=True)) == labels
        assert set(np.flatnonzero(roster.holds(np.arange(12)))) == labels.keys()
    assert rosters[2].labels(_ids(9, 1, 9)) == ["rice", "milk", "rice"]


# -- exact rows that share memory


def test_successors_share_rows_while_there_is_room() -> None:
    first = _index(1, 2, 3).extended(_ids(4), _rows(_ids(4)))
    second = first.extended(_ids(5), _rows(_ids(5)))
    third = second.without(_ids(2)).extended(_ids(6), _rows(_ids(6)))
    assert np.shares_memory(first._vectors, second._vectors)
    assert np.shares_memory(first._vectors, third._vectors)
    for index, numbers in ((first, {1, 2, 3, 4}), (second, {1, 2, 3, 4, 5}), (third, {1, 3, 4, 5, 6})):
        assert len(index) == len(numbers)
        _check(index.search, numbers)


def test_two_successors_of_one_index_do_not_write_over_each_other() -> None:
    base = _index(1, 2, 3).extended(_ids(4), _rows(_ids(4)))
    smaller = base.without(_ids(1))
    one, two, three = (
        before.extended(_ids(number), _rows(_ids(number))) for before, number in ((base, 5), (smaller, 6), (base, 7))
    )
    _check(one.search, {1, 2, 3, 4, 5})
    _check(two.search, {2, 3, 4, 6})
    _check(three.search, {1, 2, 3, 4, 7})
    _check(base.search, {1, 2, 3, 4})
    _check(smaller.search, {2, 3, 4})


def test_room_is_made_without_the_dead() -> None:
    index = _index(*range(1, 11)).without(_ids(3, 4, 5)).extended(_ids(11), _rows(_ids(11)))
    assert (len(index), len(index._ids)) == (8, 8)
    _check(index.search, {1, 2, 6, 7, 8, 9, 10, 11})


def test_an_index_drops_its_dead_when_they_are_most_of_it() -> None:
    index = _index(*range(1, 11)).without(_ids(1, 2, 3, 4, 5))
    assert (len(index), len(index._ids)) == (5, 10)
    fewer = index.without(_ids(6))
    assert (len(fewer), len(fewer._ids)) == (4, 4)
    _check(index.search, {6, 7, 8, 9, 10})
    _check(fewer.search, {7, 8, 9, 10})
    assert len(fewer.without(_ids(7, 8, 9, 10))) == 0


def test_an_item_comes_back_beside_its_dead_row() -> None:
    index = _index(*range(1, 11)).extended(_ids(11), _rows(_ids(11)))
    back = index.without(_ids(2)).extended(_ids(2), _rows(_ids(2)))
    assert len(back) == 11
    _check(back.search, set(range(1, 12)))
    _check(back.without(_ids(2)).search, set(range(1, 12)) - {2})
    _check(back.without(_ids(2)).extended(_ids(2), _rows(_ids(2))).search, set(range(1, 12)))


def test_what_an_index_does_not_hold_is_passed_over() -> None:
    index = _index(1, 2)
    assert index.without(_ids(7, 8)) is index
    assert index.without(_ids()) is index
    assert ExactIndex.empty(DIM).without(_ids(1)).search(QUERIES, 3)[0].shape == (len(QUERIES), 0)
    _check(index.without(_ids(2, 7)).search, {1})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 100), st.booleans(), st.sets(st.integers(1, 40), max_size=8)), max_size=30))
def test_any_successors_of_any_index_leave_all_others_as_they_were(
    steps: list[tuple[int, bool, set[int]]],
) -> None:
    family = [(ExactIndex.empty(DIM), set[int]())]
    for parent, extends, chosen in steps:
        index, numbers = family[parent % len(family)]
        ids = _ids(*sorted(chosen - numbers if extends else chosen))
        if extends:
            family.append((index.extended(ids, _rows(ids)), numbers | chosen))
        else:
            family.append((index.without(ids), numbers - chosen))
    for index, numbers in family:
        assert len(index) == len(numbers)
        _check(index.search, numbers, 5)
        _check(index.search, numbers)


# -- a graph of which some is dead


def _alive(numbers: set[int], looks: list[tuple[int, ...]] | None = None) -> Callable[[Ids], NDArray[np.bool_]]:
    """Say that some items are alive, and write down the shapes that this is asked of."""

    def alive(ids: Ids) -> NDArray[np.bool_]:
        if looks is not None:
            looks.append(ids.shape)
        return np.isin(ids, list(numbers))

    return alive


def test_a_look_is_widened_until_enough_is_alive() -> None:
    """At `ef` items, at four times as many, and then at all."""
    graph = _graph(np.arange(1, 121, dtype=np.int64))
    nearest = (brute_force(ROWS, QUERIES[:1], 120)[0][0] + 1).tolist()
    for dead, least in ((0, 1), (1, 1), (2, 2), (7, 2), (8, 3), (119, 3)):
        looks: list[tuple[int, ...]] = []
        found, _ = graph.search(QUERIES[:1], 1, _alive(set(nearest[dead:]), looks))
        assert found.tolist() == [[nearest[dead]]]
        assert looks == [(1, 2), (1, 8), (120,)][: len(looks)]
        assert least <= len(looks) <= (1 if dead == 0 else 3)


@pytest.mark.parametrize("dead", [0, 1, 50, 100, 119])
def test_the_dead_are_passed_over(dead: int) -> None:
    graph = _graph(np.arange(1, 121, dtype=np.int64))
    alive = set(np.random.default_rng(dead).permutation(np.arange(1, 121))[dead:].tolist())
    for k in sorted({1, min(5, len(alive)), len(alive) // 2 + 1, len(alive)}):
        _check(lambda q, k: graph.search(q, k, _alive(alive)), alive, k)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_workers_change_nothing(count: int) -> None:
    graph = _graph(np.arange(1, 121, dtype=np.int64))
    queries = unit_rows(count, seed=5)
    alive = _alive(set(range(1, 121, 3)))
    with ThreadPoolExecutor(3) as workers:
        for wanted in (None, alive):
            expected, found = graph.search(queries, 5, wanted), graph.search(queries, 5, wanted, workers)
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])


def test_looking_for_nothing_finds_nothing() -> None:
    graph = _graph(_ids(1, 2, 3))
    assert graph.search(QUERIES, 0, _alive(set()))[0].shape == (len(QUERIES), 0)
    assert graph.search(QUERIES[:0], 2, _alive({1, 2}))[0].shape == (0, 2)


def _torn_graph() -> tuple[Rows, GraphIndex]:
    """Two links an item among far clusters of near rows: hnswlib does not find its way to all of them."""
    rng = np.random.default_rng(2)
    centers = np.repeat(np.eye(DIM)[:8], 60, axis=0)
    rows = centers + 0.01 * rng.normal(size=centers.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    graph = build_graph(np.arange(1, 481, dtype=np.int64), rows, GraphParameters(m=2, ef_construction=5, ef=5))
    assert graph._nearest(rows[:2], 480, None) is None, "all can be reached: this tests nothing"
    return rows, graph


def test_what_no_link_leads_to_is_found_when_all_is_wanted() -> None:
    rows, graph = _torn_graph()
    queries = unit_rows(3, seed=4)
    order, cosines = brute_force(rows, queries, 480)
    with ThreadPoolExecutor(2) as workers:
        found, similarities = graph.search(queries, 480, workers=workers)
    np.testing.assert_array_equal(np.sort(found), np.tile(np.arange(1, 481), (3, 1)))
    np.testing.assert_allclose(similarities, cosines, atol=1e-6)

    alive = set(range(2, 481, 2))
    found, similarities = graph.search(queries, 240, _alive(alive))
    assert [set(row) for row in found.tolist()] == [alive] * 3
    kept = np.array(
        [[cosine for i, cosine in zip(*row, strict=True) if i % 2] for row in zip(order, cosines, strict=True)]
    )
    np.testing.assert_allclose(similarities, kept, atol=1e-6)


def test_the_only_one_alive_is_found_where_no_link_leads_to_it() -> None:
    rows, graph = _torn_graph()
    for number in range(1, 481, 7):
        found, similarities = graph.search(rows[:2], 1, _alive({number}))
        assert found.tolist() == [[number], [number]]
        np.testing.assert_allclose(similarities[:, 0], rows[:2] @ rows[number - 1], atol=1e-6)


def test_a_graph_takes_more_items(tmp_path: Path) -> None:
    """Also of ids between those it has, and none; it can be saved and loaded at its new size."""
    graph = _graph(np.arange(2, 80, 2, dtype=np.int64))
    graph = graph.grow(np.arange(1, 80, 2, dtype=np.int64), _rows, COMPLETE, 1)
    assert graph.ids.tolist() == list(range(1, 80))
    _check(graph.search, set(range(1, 80)), 5)
    graph = graph.grow(_ids(), _rows, COMPLETE, 1)
    assert len(graph) == 79
    graph.save(tmp_path / "graph")
    loaded = GraphIndex.load(tmp_path / "graph", DIM, 79, COMPLETE)
    _check(loaded.search, set(range(1, 80)), 5)
    _check(loaded.grow(_ids(80, 99), _rows, COMPLETE, 1).search, {*range(1, 81), 99}, 5)


def test_merging_takes_the_best_of_both() -> None:
    one, other = _index(1, 3, 5, 7).search(QUERIES, 3), _index(2, 4).search(QUERIES, 3)
    _check(lambda _, k: merge(one, other, k), {1, 2, 3, 4, 5, 7}, 2)
    none = ExactIndex.empty(DIM).search(QUERIES, 3)
    for left, right in ((one, none), (none, one)):
        np.testing.assert_array_equal(merge(left, right, 3)[0], one[0])


# -- a revision in memory


def _fetch(ids: Ids) -> Rows:
    assert (np.diff(ids) > 0).all(), "read by ascending ids"
    return _rows(ids)


def _view(numbers: set[int], graph: GraphIndex | None) -> View:
    ids = _ids(*sorted(numbers))
    roster = Roster.empty().changed(_ids(), ids, *_named([f"label {i}" for i in ids]))
    return View.of(1, roster, graph, DIM, _fetch)


def test_a_view_reads_only_what_its_graph_lacks() -> None:
    read: list[int] = []

    def fetch(ids: Ids) -> Rows:
        read.extend(ids.tolist())
        return _fetch(ids)

    graph = _graph(np.arange(1, 11, dtype=np.int64))
    roster = Roster.empty().changed(_ids(), _ids(1, 2, 3, 20), *_named(["a", "a", "b", "c"]))
    view = View.of(1, roster, graph, DIM, fetch)
    assert (read, view.dead, len(view.exact)) == ([20], 7, 1)

    view = view.changed(2, _ids(3, 20), _ids(4, 5, 20, 21), *_named(["d", "d", "renamed", "e"]), fetch)
    assert (read, view.dead, len(view.exact)) == ([20, 21], 6, 2)
    assert view.roster.labels(_ids(1, 4, 20, 21)) == ["a", "d", "renamed", "e"]
    _check(view.search, {1, 2, 4, 5, 20, 21})


def test_a_view_of_a_dead_graph_is_its_exact_rows() -> None:
    graph = _graph(np.arange(1, 11, dtype=np.int64))
    view = _view({1, 2}, graph).changed(2, _ids(1, 2), _ids(30, 31), *_named(["a", "b"]), _fetch)
    assert (view.dead, len(view.exact)) == (10, 2)
    _check(view.search, {30, 31})
    empty = view.changed(3, _ids(30, 31), _ids(), *_named([]), _fetch)
    assert empty.search(QUERIES, 3)[0].shape == (len(QUERIES), 0)
    _check(empty.changed(4, _ids(), _ids(3), *_named(["back"]), _fetch).search, {3})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    graphed=st.none() | st.sets(st.integers(1, 120), min_size=1),
    first=st.sets(st.integers(1, 120)),
    later=st.lists(st.tuples(st.sets(st.integers(1, 120)), st.sets(st.integers(1, 120), max_size=20)), max_size=6),
)
def test_views_that_follow_are_as_if_read_anew(
    graphed: set[int] | None, first: set[int], later: list[tuple[set[int], set[int]]]
) -> None:
    """Items go, come, come back and get other labels; every view stays what it was."""
    graph = None if graphed is None else _graph(_ids(*sorted(graphed)))
    labels = {number: f"label {number}" for number in first}
    views = [(_view(first, graph), labels)]
    for wanted, renamed in later:
        view, before = views[-1]
        labels = {number: before.get(number, f"label {len(views)}") for number in wanted}
        labels.update({number: f"renamed {len(views)}" for number in renamed & wanted})
        gone = {number for number in before if before[number] != labels.get(number)}
        come = sorted(number for number in labels if before.get(number) != labels[number])
        view = view.changed(
            len(views) + 1, _ids(*sorted(gone)), _ids(*come), *_named([labels[i] for i in come]), _fetch
        )
        views.append((view, labels))

    for view, labels in views:
        held = set(labels)
        anew = _view(held, graph)
        assert view.roster.ids.tolist() == sorted(held)
        assert view.roster.labels(view.roster.ids) == [labels[number] for number in sorted(held)]
        assert (view.dead, len(view.exact)) == (anew.dead, len(anew.exact))
        assert view.dead == (0 if graphed is None else len(graphed - held))
        for k in (1, 6, 1000):
            _check(view.search, held, k)
            _check(anew.search, held, k)
