"""What the wheel carries, built from a small copy of the project with stand-ins for networks and samples."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
CARRIED = {
    "models/shitu-small/bundle.json": "shitu_edge/bundles/shitu-small/bundle.json",
    "models/shitu-small/extractor.onnx": "shitu_edge/bundles/shitu-small/extractor.onnx",
    "examples/samples/gallery/Oat drink 1 l/1.jpg": "shitu_edge/samples/gallery/Oat drink 1 l/1.jpg",
    "examples/samples/scenes/scenes.json": "shitu_edge/samples/scenes/scenes.json",
}
LEFT_OUT = ["models/ppshitu-v2/bundle.json", "examples/till.py", "build/junk.py", "training/train.py"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("project")
    for file in ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", ".gitignore"):
        shutil.copy(PROJECT / file, copy)
    shutil.copytree(PROJECT / "shitu_edge", copy / "shitu_edge")
    for name in [*CARRIED, *LEFT_OUT]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("stand-in")
    return copy


def _build(project: Path, target: str, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(project, "wheel", tmp_path_factory.mktemp("wheel"))


def test_wheel_carries_networks_and_samples(wheel: Path) -> None:
    names = _names(wheel)
    expected = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "shitu_edge").rglob("*") if path.is_file()}
    expected = {name for name in expected if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == expected | set(CARRIED.values())
    licenses = {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licenses == {"LICENSE", "NOTICE"}


def test_notice_and_card_name_the_data_sets_that_ask_for_it() -> None:
    card = (PROJECT / "models" / "shitu-small" / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in card.splitlines() if line.startswith("|") and "CC BY" in line]
    wanted = {row[1].split()[0] for row in rows}
    assert len(wanted) >= 2
    notice = (PROJECT / "NOTICE").read_text(encoding="utf-8")
    assert all(f"- {name}: " in notice for name in wanted)
    assert all(link in card for link in re.findall(r"https://[^\s)]+", notice.partition("MIT:")[0]))


def test_wheel_of_the_source_distribution_is_the_same(project: Path, wheel: Path, tmp_path: Path) -> None:
    source = _build(project, "sdist", tmp_path / "source")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert _names(_build(unpacked, "wheel", tmp_path / "second")) == _names(wheel)
    assert not (unpacked / "models" / "ppshitu-v2").exists()
    assert not (unpacked / "training").exists()


@pytest.mark.parametrize(
    ("installed", "bundles", "samples"),
    [(True, "shitu_edge/bundles", "shitu_edge/samples"), (False, "models", "examples/samples")],
)
def test_built_in_finds_bundles_and_samples(
    project: Path, wheel: Path, tmp_path: Path, installed: bool, bundles: str, samples: str
) -> None:
    root = project
    if installed:
        root = tmp_path / "site-packages"
        shutil.unpack_archive(wheel, root, "zip")
    code = "from shitu_edge.bundle.built_in import BUNDLES, SAMPLES; print(BUNDLES, SAMPLES, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(root / bundles), str(root / samples)]


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())
