from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shitu_edge.gallery.paddle_index import read_id_map

from . import answer_or_refusal, little_memory, refused

TEXTS = ["0/0.jpg\t脉动", "a b.jpg\toat milk 1 l", "", "two\nlines \\ \u2028", "🥛 " * 200]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "longlong", "intc"]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
WITH_BYTES = PROTOCOLS[3:]
"""Those in which NumPy's numbers are bytes; before, they were a call that makes bytes of text."""
SCALAR = np.int64(1).__reduce__()[0]


def _read(folder: Path, data: bytes, name: str = "id_map.pkl", count: int = 10_000) -> dict[int, str]:
    (folder / name).write_bytes(data)
    return read_id_map(folder, count)


class _Reduced:
    """Is pickled as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [*((n, int) for n in PROTOCOLS), *((n, getattr(np, name)) for n in WITH_BYTES for name in INTEGERS)],
)
def test_pickles_of_whole_numbers_to_text(tmp_path: Path, protocol: int, kind: Callable[[int], Any]) -> None:
    expected = dict(enumerate(TEXTS * 20))
    data = pickle.dumps({kind(key): text for key, text in expected.items()}, protocol)
    found = _read(tmp_path, data)
    assert found == expected
    assert {type(key) for key in found} == {int}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_of_all_sizes(tmp_path: Path, protocol: int) -> None:
    numbers = [0, -1, 127, -128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**62)]
    many: dict[Any, str] = {(n if protocol < WITH_BYTES[0] else np.int64(n)): "same" for n in range(2500)}
    for expected in ({}, {7: "x"}, {n: str(n) for n in numbers}, many):
        assert _read(tmp_path, pickle.dumps(expected, protocol)) == expected


@pytest.mark.parametrize("protocol", WITH_BYTES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_numpy_numbers_of_either_byte_order(tmp_path: Path, protocol: int, order: str) -> None:
    dtype = np.dtype(f"{order}i4")
    number = _Reduced(SCALAR, dtype, np.array(-70_000, dtype).tobytes())
    assert _read(tmp_path, pickle.dumps({number: "x"}, protocol)) == {-70_000: "x"}


def test_names_of_numpy_1_and_2(tmp_path: Path) -> None:
    data = pickle.dumps({np.int64(3): "x"}, 3)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        assert _read(tmp_path, re.sub(rb"numpy\._?core\.multiarray", name, data)) == {3: "x"}


def _touch(path: str) -> None:
    Path(path).touch()


def _hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that make a file when they are loaded, or ask for what no id map needs, and what is said of each."""
    command = f"echo > {marker}".encode()
    expression = f"__import__('pathlib').Path({str(marker)!r}).touch()".encode()
    short = b"\x8c" + bytes([len(command)]) + command
    system = os.system.__module__.encode()
    return {
        "GLOBAL": (b"cos\nsystem\n(V" + command + b"\ntR.", r"refused: asks to call os\.system"),
        "STACK_GLOBAL": (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + short + b"\x85R.", r"asks to call os\.system"),
        "INST": (b"(V" + command + b"\nios\nsystem\n.", "holds the pickle operation INST 'os system'"),
        "OBJ": (b"(c" + system + b"\nsystem\nV" + command + b"\no.", rf"asks to call {system.decode()}\.system"),
        "eval": (b"cbuiltins\neval\n(V" + expression + b"\ntR.", r"asks to call builtins\.eval"),
        "value": (b"}K\x00cbuiltins\neval\n(V" + expression + b"\ntRs.", r"asks to call builtins\.eval"),
        "forgotten": (b"cbuiltins\neval\n(V" + expression + b"\ntR0}.", r"asks to call builtins\.eval"),
        "bytes of text": (pickle.dumps({np.int64(1): "b"}, 2), r"asks to call _codecs\.encode"),
        "NEWOBJ": (b"cnumpy\ndtype\n(Vi8\nt\x81.", "holds the pickle operation NEWOBJ"),
        "dtype state": (b"cnumpy\ndtype\n(Vi8\nI00\nI01\ntR}b.", "asks to change an object"),
        "state of a function": (b"cnumpy\ndtype\nNVa\n\x86b.", "asks to change an object"),
        "state": (b"}}b.", "found a second dict"),
        "object dtype": (pickle.dumps(np.dtype("O"), 3), "asks for a call that does not give a whole number"),
        "text dtype": (pickle.dumps({np.str_("a"): "b"}, 3), "asks for a call that does not give a whole number"),
        "float": (pickle.dumps({np.float64(1): "b"}, 3), "asks for a call that does not give a whole number"),
        "too few bytes": (pickle.dumps({_Reduced(SCALAR, np.dtype("i8"), b"1234"): "b"}, 3), "asks for a call"),
        "called text": (b"Vos\nK\1K\1\x86R.", "is damaged: .*'str' object is not callable"),
        "module in a number": (b"K\x01Vsystem\n\x93.", "is damaged: .*STACK_GLOBAL requires str"),
        "two lines": (b"\x80\x04\x8c\x03o\ns\x8c\x01x\x93.", r"asks to call o\\ns\.x"),
        "PERSID": (b"Pabc\n.", "holds the pickle operation PERSID 'abc'"),
        "BINPERSID": (b"K\x01Q.", "holds the pickle operation BINPERSID"),
        "EXT1": (b"\x82\x01.", "holds the pickle operation EXT1 1"),
        "list": (b"(lp0\nI1\na.", "holds the pickle operation LIST"),
    }


@pytest.mark.parametrize("name", sorted(_hostile(Path("x"))))
def test_what_a_pickle_asks_for_is_said_and_not_done(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    data, message = _hostile(marker)[name]
    with refused(rf"id_map\.pkl: .*({message})"):
        _read(tmp_path, data)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "eval", "value", "forgotten"])
def test_these_pickles_do_run_when_they_are_loaded(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    pickle.loads(_hostile(marker)[name][0])
    assert marker.exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_calls_of_all_protocols_are_refused(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"
    data = pickle.dumps({1: _Reduced(_touch, str(marker))}, protocol)
    with refused(r"asks to call .*test_id_map\._touch"):
        _read(tmp_path, data)
    assert not marker.exists()
    pickle.loads(data)
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [{"1": "x"}, {1: 2}, {1: b"x"}, {True: "x"}, {2**63: "x"}, {None: "x"}, {(1, 2): "x"}, {1: {2: "x"}}, "x", 5, None],
)
def test_pickles_of_other_things(tmp_path: Path, content: object) -> None:
    with refused(r"id_map\.pkl: expected a dict of whole numbers to text, found"):
        _read(tmp_path, pickle.dumps(content))


def test_references_do_not_multiply(tmp_path: Path) -> None:
    doubling = b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x94" for i in range(200))
    with little_memory(4 << 20), refused("expected a dict of whole numbers to text, found a tuple"):
        _read(tmp_path, b"\x80\x04NN\x86\x94" + doubling + b"}\x94h\xc8h\xc8s.")
    with refused("is damaged"):
        _read(tmp_path, b"(" * 100_000 + b".")
    for nested in (b")" + b"\x85" * 100_000, b"N" + b"N\x86" * 100_000, b"N" + b"(t" * 100_000, b"}" * 100_000):
        with refused(r"holds the pickle operation EMPTY_TUPLE|found a tuple|found a second dict"):
            _read(tmp_path, nested + b".")


BOMBS = {
    "marks": b"(",
    "nothing": b"N",
    "places of the memo": b"\x94",
    "fetched again": b"h\0",
    "numbers": b"J\x00\x00\x00\x40",
    "letters": b"\x8c\2ab",
    "wide letters": b"\x8c\x14" + "🥛".encode() + b"a" * 16,
    "functions": b"cnumpy\ndtype\n",
    "types": b"h\0\x8c\2i8\x89\x88\x87R",
    "calls": b"h\0h\1h\2\x86R",
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_is_bounded_by_the_file(tmp_path: Path, name: str) -> None:
    """One operation as often as a file of 256 KiB holds it, behind what the others refer to."""
    begin = (
        b"\x80\4cnumpy\ndtype\n\x94h\0\x8c\2i8\x89\x88\x87R(K\3\x8c\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x94"
    )
    begin += b"C\x08abcdefgh\x94"
    if name == "calls":
        begin = begin.replace(b"cnumpy\ndtype\n\x94h\0", b"cnumpy._core.multiarray\nscalar\n\x94cnumpy\ndtype\n")
    repeats = ((1 << 18) - len(begin) - 1) // len(BOMBS[name])
    (tmp_path / "id_map.pkl").write_bytes(begin + BOMBS[name] * repeats + b".")
    with little_memory(9 << 20), refused(r"is damaged|expected a dict of whole numbers to text"):
        read_id_map(tmp_path, 1 << 20)
    with refused(r"expected at most 4416 operations for an index of its size|is larger than 70656 bytes"):
        read_id_map(tmp_path, 5)


@pytest.mark.parametrize("place", [b"r\xff\xff\xff\xff", b"q\xff", b"p4294967295\n", b"p" + b"9" * 4000 + b"\n"])
def test_no_place_of_the_memo_is_far_away(tmp_path: Path, place: bytes) -> None:
    with little_memory(1 << 20), refused("refers to place [0-9.]+ of its memo"):
        _read(tmp_path, b"}" + place + b".")


def test_copies_of_a_text_are_not_made(tmp_path: Path) -> None:
    """One text of 256 KiB, encoded ten times as protocol 2 makes bytes."""
    text = b"X" + (1 << 18).to_bytes(4, "little") + b"x" * (1 << 18)
    call = b"c_codecs\nencode\n(h\0X\6\0\0\0latin1tR"
    with little_memory(4 << 20), refused(r"asks to call _codecs\.encode"):
        _read(tmp_path, b"\x80\2" + text + b"q\0" + call * 10 + b".")


def test_keys_do_not_collide(tmp_path: Path) -> None:
    """Multiples of the modulus of Python's hashes: each is compared with all before it."""
    keys = b"".join(b"\x8a\x10" + (n * (2**61 - 1)).to_bytes(16, "little") + b"Va\n" for n in range(50_000))
    with refused("found a number of more than 64 bits"):
        _read(tmp_path, b"}(" + keys + b"u.")


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x04" + b"(" * (8 << 20) + b".",
        b"\x80\x04" + b"}" * (8 << 20) + b".",
        b"\x80\x04}" + b"\x94" * (8 << 20) + b".",
        b"\x80\x02c_codecs\nencode\nq\0X\0\0\x10\0" + b"a" * (1 << 20) + b"q\1X\6\0\0\0latin1q\2"
        b"" + b"h\0h\1h\2\x86R" * 40_000 + b".",
    ],
    ids=["marks", "dicts", "memo", "encode"],
)
def test_a_small_file_does_not_fill_memory(tmp_path: Path, program: bytes) -> None:
    with little_memory(64 << 20), refused(r"id_map\.pkl: "):
        _read(tmp_path, program)


def test_lengths_are_not_believed(tmp_path: Path) -> None:
    for code in (b"\x8d", b"\x8e", b"\x96"):
        with little_memory(1 << 20), refused("is damaged"):
            _read(tmp_path, b"\x80\x05" + code + (2**62).to_bytes(8, "little") + b"x.")


@pytest.mark.parametrize("name", ["id_map.pkl", "id_map.yaml"])
def test_a_map_is_not_much_larger_than_its_index(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as stream:
        stream.truncate(1 << 32)
    with little_memory(1 << 20), refused(rf"{name}: cannot be read: is larger than 70656 bytes"):
        read_id_map(tmp_path, 5)
    with little_memory(1 << 20), refused(rf"{name}: cannot be read: is larger than 67108864 bytes"):
        read_id_map(tmp_path, 1 << 40)


@pytest.mark.parametrize("protocol", WITH_BYTES)
def test_every_truncation_of_a_pickle_is_refused_and_so_are_trailing_bytes(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({np.int64(5): "a\tb", np.int64(6): "c\td"}, protocol)
    for size in range(len(data)):
        with refused(r"id_map\.pkl: "):
            _read(tmp_path, data[:size])
    with refused("is damaged: .*1 bytes after the end"):
        _read(tmp_path, data + b".")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    protocol=st.sampled_from(WITH_BYTES),
    edits=st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from("=+-"), st.binary(min_size=1, max_size=3)), max_size=4
    ),
)
def test_damaged_pickles_give_a_map_or_a_refusal(
    tmp_path: Path, protocol: int, edits: list[tuple[int, str, bytes]]
) -> None:
    data = pickle.dumps({np.int64(5): "a\tb", np.int32(6): "c\td", 7: "e"}, protocol)
    for place, edit, content in edits:
        at = place % (len(data) + 1)
        rest = data[at:] if edit == "+" else data[at + len(content) :]
        data = data[:at] + (b"" if edit == "-" else content) + rest
    _map_or_refusal(tmp_path, data, "id_map.pkl")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60))
def test_noise_gives_a_map_or_a_refusal(tmp_path: Path, data: bytes) -> None:
    _map_or_refusal(tmp_path, data, "id_map.pkl")
    (tmp_path / "id_map.pkl").unlink()
    _map_or_refusal(tmp_path, data, "id_map.yaml")
    (tmp_path / "id_map.yaml").unlink()


def _map_or_refusal(folder: Path, data: bytes, name: str) -> None:
    found = answer_or_refusal(lambda: _read(folder, data, name))
    assert all(type(key) is int and type(text) is str for key, text in (found or {}).items())


def _yaml(content: object) -> bytes:
    """Write as PaddleX' `IndexData.save` does."""
    yaml = pytest.importorskip("yaml", reason="PyYAML reads and writes PaddleX' maps: pip install pyyaml")
    text: str = yaml.dump(content, default_flow_style=False, allow_unicode=True)
    return text.encode()


LABELS = [
    "脉动",
    "oat milk 1 l",
    "123",
    "yes",
    "null",
    "1.5",
    "a: b",
    "# x",
    "'",
    '"',
    " x ",
    "🥛",
    "word " * 60,
    "a\nb",
    "- x",
]


def test_map_that_paddlex_writes(tmp_path: Path) -> None:
    labels = dict(enumerate(LABELS, start=-2))
    data = _yaml({"index_type": "HNSW32", "metric_type": "IP", "id_map": labels})
    assert _read(tmp_path, data, "id_map.yaml") == labels


def test_numbers_in_a_yaml_map_stay_as_they_are_written(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    assert _read(tmp_path, b"id_map: {1: 007, 2: 1e3}", "id_map.yaml") == {1: "007", 2: "1e3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected id_map, with a dict of whole numbers to text, found none"),
        ("index_type: Flat", "expected id_map, with a dict of whole numbers to text, found none"),
        ("text", "line 1: expected only id_map"),
        ("- 1", "line 1: expected only id_map"),
        ("id_map:\n  1: [a]", "line 2: expected only id_map"),
        ("id_map:\n  1: {a: b}", "line 2: expected only id_map"),
        ("other: {a: b}", "line 1: expected only id_map"),
        ("{a: b}: c", "line 1: expected only id_map"),
        ("id_map: {1: a}\n---\nid_map: {1: a}", "line 3: expected only id_map"),
        ("id_map: {1: a}\nid_map: {1: b}", "line 2: expected only id_map"),
        ("id_map:\n  a: b", "line 2: expected a whole number, found 'a'"),
        ("id_map: {1_0: b}", "expected a whole number, found '1_0'"),
        ("id_map: {1: &a x, 2: *a}", "line 1: expected plain text, found an anchor, alias or tag"),
        ("id_map: &a\n  1: *a", "expected plain text, found an anchor, alias or tag"),
        ("id_map: {1: !!python/object/apply:os.system [ls]}", "expected plain text, found an anchor, alias or tag"),
        ("id_map: {1: a", "is not YAML: "),
        ("id_map: {1: a\x01}", "is not YAML: "),
        # PyYAML 6.0.4 and newer refuse deep nesting themselves.
        ("{id_map: {" + "{" * 50_000, "(expected only id_map|is not YAML: .*nesting depth)"),
        ("id_map: " + "[" * 50_000, "(expected only id_map|is not YAML: .*nesting depth)"),
    ],
)
def test_other_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    pytest.importorskip("yaml")
    with refused(rf"id_map\.yaml.*: .*{message}|id_map\.yaml, {message}"):
        _read(tmp_path, text.encode(), "id_map.yaml")


def test_yaml_in_another_encoding(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    with refused(r"id_map\.yaml: is not UTF-8 text \(as GBK it reads 'id_map: {1: 牛奶}'\); save it as UTF-8"):
        _read(tmp_path, "id_map: {1: 牛奶}".encode("gbk"), "id_map.yaml")


def test_yaml_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with refused(r"id_map\.yaml: needs PyYAML \(.*\); pip install pyyaml"):
        _read(tmp_path, b"id_map: {1: a}", "id_map.yaml")


def test_folder_with_neither_map_or_both(tmp_path: Path) -> None:
    with refused(r"expected id_map\.pkl or id_map\.yaml, found neither"):
        read_id_map(tmp_path, 5)
    for name in ("id_map.pkl", "id_map.yaml"):
        (tmp_path / name).write_bytes(b"")
    with refused(r"expected id_map\.pkl or id_map\.yaml, found both"):
        read_id_map(tmp_path, 5)
