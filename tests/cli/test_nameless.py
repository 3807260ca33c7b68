"""Commands for a user without a name and a home, as containers have them: the same answers, and no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from shitu_edge.engines import ENGINES
from tests.photos import write_photo

_ROOT = Path(__file__).resolve().parents[2]
_NAMELESS = ["unshare", "--user", "--map-user=54321"]


@cache
def _refusal() -> str | None:
    if sys.platform != "linux" or not shutil.which("unshare"):
        return "no unshare"
    done = subprocess.run([*_NAMELESS, "true"], capture_output=True, check=False)
    return done.stderr.decode(errors="replace").strip() if done.returncode else None


def shitu_edge(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of whom the system knows a number alone."""
    if reason := _refusal():
        pytest.skip(f"users cannot be mapped here: {reason}")
    done = subprocess.run(
        [*_NAMELESS, sys.executable, "-m", "shitu_edge", *map(str, arguments)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def test_engines_work_and_doctor_says_that_there_is_no_home(tmp_path: Path) -> None:
    for engine in ENGINES:
        pytest.importorskip(engine)
    done = shitu_edge(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert all(facts["selftests"][engine]["problem"] is None for engine in ENGINES)
    assert facts["model_cache"] is None
    [advice] = facts["problems"]
    assert (
        advice
        == "models are compiled at every start, because there is no home folder: set $SHITU_EDGE_CACHE to a folder"
    )


def test_doctor_says_that_the_cache_is_turned_off(tmp_path: Path) -> None:
    facts = json.loads(shitu_edge(tmp_path, "doctor", "--json", SHITU_EDGE_CACHE="").stdout)
    assert facts["model_cache"] is None
    assert facts["problems"] == []


def test_images_are_enrolled_recognized_and_drawn(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "products" / "可乐").mkdir(parents=True)
    write_photo(tmp_path / "products" / "可乐" / "1.png")
    models = ("--models", tiny_bundle)
    built = shitu_edge(tmp_path, "gallery", "build", "shop.gallery", "products", *models)
    assert built.returncode == 0, built.stderr
    drawn = shitu_edge(tmp_path, "recognize", "shop.gallery", "products", "--draw", "seen", *models)
    assert drawn.returncode == 0, drawn.stderr
    assert len([path for path in (tmp_path / "seen").rglob("*") if path.is_file()]) == 1


def test_bench_says_that_there_is_no_home(tmp_path: Path) -> None:
    done = shitu_edge(tmp_path, "bench")
    assert done.returncode == 1
    assert (
        done.stderr
        == "error: there is no cache folder for a synthetic gallery: set $SHITU_EDGE_CACHE, or use --gallery\n"
    )
