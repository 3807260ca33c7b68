"""The locks in `requirements/` follow `pyproject.toml`: whoever adds a dependency runs `make lock`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli", reason="nothing here reads TOML")

PROJECT = Path(__file__).parent.parent
LOCKS = PROJECT / "requirements"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")

pytestmark = pytest.mark.skipif(not LOCKS.is_dir(), reason="the locks are in the checkout alone")


def _pins(name: str) -> list[Requirement]:
    """Return what a lock pins; each pin has hashes, and nothing says where it was found."""
    lines = re.sub(r"\\\n", "", (LOCKS / name).read_text(encoding="utf-8")).splitlines()
    entries = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    pins = []
    for entry in entries:
        pin, *hashes = re.split(r"\s+(?=--)", entry)
        assert hashes, f"{pin} has no hash"
        assert all(map(HASH.fullmatch, hashes)), entry
        pins.append(Requirement(pin))
    return pins


def _for(pins: list[Requirement], python: str) -> dict[str, Version]:
    """Return the versions that a lock pins for one Python on Linux, by canonical name."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    found = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    names = [canonicalize_name(pin.name) for pin in found]
    assert len(set(names)) == len(names), f"pinned twice for Python {python}: {names}"
    return {name: Version(str(pin.specifier).removeprefix("==")) for name, pin in zip(names, found, strict=True)}


def _project(path: str = "pyproject.toml") -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((PROJECT / path).read_text(encoding="utf-8"))
    return found


def _wanted(project: dict[str, Any], extras: set[str]) -> Iterator[Requirement]:
    """Yield the dependencies and those of some extras; extras of the project's own are followed."""
    own = project["project"]["name"]
    groups = project["project"].get("optional-dependencies", {})
    for text in [*project["project"]["dependencies"], *(text for extra in extras for text in groups[extra])]:
        wanted = Requirement(text)
        if wanted.name == own:
            yield from _wanted(project, wanted.extras)
        else:
            yield wanted


def _missing(wanted: Iterator[Requirement], pins: list[Requirement], pythons: tuple[str, ...] = PYTHONS) -> set[str]:
    requirements = list(wanted)
    return {
        f"{requirement} on Python {python}"
        for python in pythons
        for locked in [_for(pins, python)]
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python, "extra": ""})
        if (version := locked.get(canonicalize_name(requirement.name))) is None or version not in requirement.specifier
    }


def test_dev_lock_holds_every_dependency_and_extra() -> None:
    project = _project()
    extras = set(project["project"]["optional-dependencies"])
    assert not _missing(_wanted(project, extras), _pins("dev.lock")), "run make lock"


def test_runtime_lock_is_the_runtimes_part_of_the_dev_lock() -> None:
    assert not _missing(_wanted(_project(), set()), _pins("runtime.lock")), "run make lock"
    for python in PYTHONS:
        assert _for(_pins("runtime.lock"), python).items() <= _for(_pins("dev.lock"), python).items()


def test_export_lock_holds_every_dependency() -> None:
    project, export = _project(), _project("export/pyproject.toml")
    ours = (item for item in _wanted(export, set()) if item.name != "shitu-edge")
    pins, pythons = _pins("export.lock"), PYTHONS[:3]  # Paddle ends there
    assert not _missing(ours, pins, pythons) | _missing(_wanted(project, {"test"}), pins, pythons), "run make lock"


def test_build_lock_holds_what_builds_the_project() -> None:
    pins = _pins("build.lock")
    for path in ("pyproject.toml", "export/pyproject.toml"):
        assert not _missing(map(Requirement, _project(path)["build-system"]["requires"]), pins), "run make lock"


def test_floors_lock_pins_the_oldest_version_that_each_dependency_allows() -> None:
    locked = _for(_pins("floors.lock"), "3.11")
    for wanted in _wanted(_project(), {"test", "opencv", "paddlex", "serve"}):
        if wanted.marker is not None and not wanted.marker.evaluate({"python_version": "3.11", "extra": ""}):
            continue
        (floor,) = (item.version for item in wanted.specifier if item.operator == ">=")
        found = locked[canonicalize_name(wanted.name)]
        assert found.release[: len(Version(floor).release)] == Version(floor).release, f"{wanted}: run make lock"


@pytest.mark.parametrize("added", ["nothing-of-ours>=1", "numpy>=999", "numpy<1"])
def test_dependency_that_no_lock_knows_is_found(added: str) -> None:
    assert len(_missing(iter([Requirement(added)]), _pins("dev.lock"))) == len(PYTHONS)
