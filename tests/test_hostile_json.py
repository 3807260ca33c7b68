"""Every reader of JSON with documents that are nearly right: an answer, or a refusal in one line."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shitu_edge.bench.compare import conditions, differences, load_result
from shitu_edge.bench.run import STAGES
from shitu_edge.bundle import Bundle
from shitu_edge.bundle.profile import Profile
from shitu_edge.demo.scenes import find_photos
from shitu_edge.errors import ShituError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.transfer.folder import export_folder, import_folder
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from shitu_edge.stages.view import View
from tests.gallery.rows import create, new_items, unit_rows
from tests.mutations import mutated

EXAMPLES = 300
Read = Callable[[bytes], object]


def check(read: Read, document: Any, seed: int, examples: int = EXAMPLES) -> None:
    """Check that changed documents are read or refused in one line, and that both happen."""
    read(json.dumps(document).encode())
    chance = random.Random(seed)
    refused = 0
    for _ in range(examples):
        content = mutated(document, chance)
        refusal = _refusal(read, content)
        refused += refusal is not None
        assert refusal is None or (len(refusal) < 1000 and not {"\n", "\x1b"} & set(refusal)), content[:500]
    assert examples // 4 < refused <= examples


def _refusal(read: Read, content: bytes) -> str | None:
    try:
        read(content)
    except ShituError as error:
        return str(error)
    return None


def reading(path: Path, read: Callable[[], object]) -> Read:
    def write_and_read(content: bytes) -> object:
        path.write_bytes(content)
        return read()

    return write_and_read


def test_profile(tmp_path: Path) -> None:
    profile = Profile(1, "tiny", "0" * 64, "a CPU", "openvino", "fp32", "int8", 2, 10.0, 12.5)
    path = tmp_path / "profile.json"
    check(reading(path, lambda: Profile.read(path)), asdict(profile), seed=1)


def test_camera(tmp_path: Path) -> None:
    view = View((0.1, 0.2, 0.8, 0.9), [((0.0, 0.0), (0.5, 0.0), (0.2, 0.4))], 0.05, 0.9, 6)
    path = tmp_path / "camera.json"
    check(reading(path, lambda: View.read(path)), {"schema_version": 1, **asdict(view)}, seed=1)
    Image.fromarray(np.zeros((320, 320, 3), np.uint8)).save(tmp_path / "empty.png")
    named = {"schema_version": 2, **asdict(view), "empty": "empty.png"}
    check(reading(path, lambda: View.read(path)), named, seed=2)


def test_benchmark_result(tmp_path: Path) -> None:
    network = {"engine": "openvino", "version": "1", "precision": "fp32", "threads": 2, "fallback": None}
    times = [10 + number / 7 for number in range(5)]
    stored = {
        "schema_version": 2,
        "environment": {
            "cpu": {"model": "a CPU"},
            "system": "Linux",
            "python": "3.12",
            "versions": {"numpy": "2", "pillow": "12"},
        },
        "made_by": {"bundle_digest": "0" * 64, "detector": network, "extractor": network},
        "setup": {"objects": 5},
        "gallery_items": 100,
        "images": 2,
        "sizes": [[1280, 720], [640, 360]],
        "latency": {"total_ms": times, "stages": dict.fromkeys(STAGES, times)},
    }
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(stored), encoding="utf-8")
    right = load_result(path)

    def compare() -> None:
        found = load_result(path)
        told = conditions(right, found)
        assert all(text.isprintable() for names in told.items() for text in (names[0], *names[1]))
        assert all(np.isfinite(line.after_ms) for line in differences(right, found))

    check(reading(path, compare), stored, seed=2)


def test_scenes(tmp_path: Path) -> None:
    for folder in ("gallery/tea", "gallery/milk", "scenes"):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "a.png")
    expected = {"a.png": [{"box_xyxy": [0, 0, 4, 4], "label": "tea"}, {"box_xyxy": [4, 4, 8, 8], "label": None}]}
    check(reading(tmp_path / "scenes" / "scenes.json", lambda: find_photos(tmp_path)), expected, seed=3)


def test_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "tiny")
    path = tmp_path / "tiny" / "bundle.json"
    check(reading(path, lambda: Bundle.open(path.parent)), json.loads(path.read_bytes()), seed=4)


def test_exported_folder(tmp_path: Path) -> None:
    with create(tmp_path / "shop") as gallery:
        gallery.add(new_items(unit_rows(3)))
        export_folder(gallery, tmp_path / "folder")
    path, new = tmp_path / "folder" / "gallery.json", tmp_path / "new"

    def read() -> None:
        import_folder(path.parent, new)
        new.unlink()

    check(reading(path, read), json.loads(path.read_bytes()), seed=5)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"folder", "shop"}


def test_head_of_a_patch(tmp_path: Path) -> None:
    with create(tmp_path / "shop") as gallery:
        gallery.add(new_items(unit_rows(3)))
        gallery.copy(tmp_path / "behind")
        gallery.rename("label 1", "tea", author="ann", note="as on the shelf")
        gallery.add([NewGalleryItem("牛奶", "a.jpg", unit_rows(1, seed=4)[0])])
        gallery.remove([1])
        write_patch(gallery, 2, 5, tmp_path / "patch")
    path = tmp_path / "patch"
    magic, rest = path.read_bytes().split(b"\n", 1)
    (length,) = struct.unpack_from("<Q", rest, 32)
    document, vectors = json.loads(rest[40 : 40 + length]), rest[40 + length :]

    def read(content: bytes) -> None:
        body = struct.pack("<Q", len(content)) + content + vectors
        path.write_bytes(magic + b"\n" + hashlib.sha256(body).digest() + body)
        shutil.copyfile(tmp_path / "behind", tmp_path / "copy")
        with Gallery.open(tmp_path / "copy", background=False) as behind:
            apply_patch(behind, path)

    check(read, document, seed=6)
