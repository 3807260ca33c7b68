"""Two stored results side by side."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.bench.compare import conditions, differences, load_result
from shitu_edge.bench.run import STAGES, Result
from shitu_edge.bundle.profile import Profile
from shitu_edge.errors import OptionError
from tests.shell import Shell


@pytest.fixture
def stored(result: Result) -> dict[str, Any]:
    """A result as JSON has it, with a hundred samples that vary by a tenth."""
    found: dict[str, Any] = json.loads(json.dumps(result.as_dict(), default=str))
    found["latency"]["total_ms"] = [10 + number % 7 / 7 for number in range(100)]
    found["latency"]["stages"] = {name: [2 + number % 5 / 25 for number in range(100)] for name in STAGES}
    return found


def changed(stored: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return a result whose extraction takes so much longer."""
    other: dict[str, Any] = json.loads(json.dumps(stored))
    stages = other["latency"]["stages"]
    stages["extract"] = [factor * value for value in stages["extract"]]
    return other


def test_only_what_is_beyond_noise_has_changed(stored: dict[str, Any]) -> None:
    found = {difference.name: difference for difference in differences(stored, changed(stored, 1.3))}
    assert list(found) == [*STAGES, "total"]
    assert found["extract"].change.ratio == pytest.approx(1.3)
    assert [name for name, difference in found.items() if difference.change.beyond_noise] == ["extract"]


def test_what_else_is_different_is_named(stored: dict[str, Any]) -> None:
    other = changed(stored, 1)
    assert conditions(stored, other) == {}
    del other["environment"]["versions"]["hnswlib"]
    other["made_by"]["detector"]["precision"] = "int8"
    found = conditions(stored, other)
    assert set(found) == {"hnswlib", "detector"}
    assert found["hnswlib"][1] == "none"


def test_results_of_earlier_versions_are_read(stored: dict[str, Any], tmp_path: Path) -> None:
    """Version 1 says "pictures" where one of today says "images"; neither it nor 2 knows the stage `verify`."""
    second = json.loads(json.dumps(stored)) | {"schema_version": 2}
    del second["latency"]["stages"]["verify"]
    first = {"pictures" if key == "images" else key: value for key, value in second.items()} | {"schema_version": 1}
    for old in (first, second):
        path = tmp_path / "old.json"
        path.write_text(json.dumps(old), encoding="utf-8")
        assert load_result(path) == second
    assert [one.name for one in differences(second, stored)] == [
        name for name in [*STAGES, "total"] if name != "verify"
    ]


def test_the_command(stored: dict[str, Any], shell: Shell) -> None:
    Path("a.json").write_text(json.dumps(stored), encoding="utf-8")
    Path("b.json").write_text(json.dumps(changed(stored, 0.5)), encoding="utf-8")
    done = shell("bench", "compare", "a.json", "b.json")
    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "-50.0 %" in rows["extract"]
    assert rows["extract"].split()[-1] == "faster"
    assert rows["total"].rstrip().endswith("no change")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("environment.versions", ["numpy"]),
        ("environment.cpu", None),
        ("sizes", [[1]]),
        ("sizes", {"a": 1}),
        ("made_by.bundle_digest", 5),
        ("latency.total_ms", []),
        ("latency.total_ms", [1, -1]),
        ("latency.total_ms", [1, 10**400]),
        ("latency.total_ms", [1, float("nan")]),
        ("latency.total_ms", [1, True]),
        ("latency.total_ms", ["1"]),
        ("latency.stages", []),
        ("latency.stages.decode", 1),
    ],
)
def test_values_that_no_result_has(stored: dict[str, Any], tmp_path: Path, place: str, value: object) -> None:
    *parents, last = place.split(".")
    part = stored
    for name in parents:
        part = part[name]
    part[last] = value
    (tmp_path / "x.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(OptionError, match=r"x\.json: is not a result of `shitu-edge bench -o FILE\.json`, version 3"):
        load_result(tmp_path / "x.json")


def test_text_of_a_result_is_printed_as_one_line(stored: dict[str, Any], shell: Shell) -> None:
    other = changed(stored, 1)
    other["environment"]["system"] = "\x1b]0;title\x07\n\u202e" * 1000
    other["environment"]["versions"]["\x1b[2J"] = "1"
    Path("a.json").write_text(json.dumps(stored), encoding="utf-8")
    Path("b.json").write_text(json.dumps(other), encoding="utf-8")
    done = shell("bench", "compare", "a.json", "b.json")
    told = [line for line in done.out.splitlines() if line.startswith("different ")]
    assert len(told) == 2
    assert done.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("kind", ["pipe", "endless", "sparse", "deep"])
def test_files_that_never_end(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"[" * 60_000)
        if kind == "sparse":
            os.truncate(path, 1 << 36)
    expected = {"sparse": r"is larger than \d+ bytes", "deep": "nested too deeply"}.get(kind, "is a pipe, device")
    for read in (load_result, Profile.read):
        with pytest.raises(OptionError, match=rf"x\.json: [^\n]*{expected}[^\n]*$"):
            read(path)


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"schema_version": 1, "latency": {}}', '{"schema_version": 9}'])
def test_files_that_are_no_result(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(OptionError, match=r"x\.json: is not a result of `shitu-edge bench -o FILE\.json`"):
        load_result(tmp_path / "x.json")
    with pytest.raises(OptionError, match=r"y\.json: No such file"):
        load_result(tmp_path / "y.json")
