"""The commands end to end: bundles, official archives from a local server, bad input; nothing half-made is left."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import Bundle, NewGalleryItem, Recognizer
from shitu_edge.engines import ENGINES, EngineName
from shitu_edge.engines.cache import CACHE_VARIABLE

from .paddle_networks import Format

Models = Mapping[Format, Path]
DETECTOR, EXTRACTOR = "while_s2_c3_r11_96", "rec_v2"
ARCHIVES = {
    "picodet_PPLCNet_x2_5_mainbody_lite_v1.0_infer.tar": DETECTOR,
    "PP-ShiTuV2/general_PPLCNetV2_base_pretrained_v1.0_infer.tar": EXTRACTOR,
}
_DETECTOR_INPUT = """
Preprocess:
- {type: Resize, interp: 1, target_size: [96, 96]}
- {type: NormalizeImage, is_scale: true, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
- {type: Permute}
"""
DAMAGED_TAR, EXTRACTOR_TAR = ARCHIVES


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(4):
        coarse = random.integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def export(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from shitu_edge_export.cli import main; main()"
    paths = [str(Path(__file__).parents[2] / "export"), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), CACHE_VARIABLE: str(cwd / "cache"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def export_bundle(models: Models, photos: Path, cwd: Path, *more: object) -> subprocess.CompletedProcess[str]:
    folder = models["pdmodel"]
    networks = ("--detector", folder / DETECTOR, "--extractor", folder / EXTRACTOR)
    return export("bundle", *networks, "--out", cwd / "models" / "mine", "--images", photos, *more, cwd=cwd)


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why."""
    assert done.returncode == 1, done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return errors[0]


@pytest.fixture(scope="module")
def made(paddle_models: Models, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("made")
    done = export_bundle(paddle_models, photos, cwd, "--half", "--license", "CC0")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (cwd / "models").iterdir()] == ["mine"], "nothing temporary is left"
    return cwd / "models" / "mine"


@pytest.mark.parametrize("precision", [None, "fp16"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_runtime_opens_it(
    made: Path, photos: Path, tmp_path: Path, engine: EngineName, precision: str | None
) -> None:
    image = sorted(photos.iterdir())[0]
    with Recognizer.open(made, engine=engine) as maker, maker.create_gallery(tmp_path / "g") as gallery:
        gallery.add([NewGalleryItem("the image", "", maker.embed(image)[0])])
    with Recognizer.open(made, tmp_path / "g", engine=engine, precision=precision) as recognizer:
        assert len(recognizer.detect(image, max_boxes=5)) > 0
        answer = recognizer.recognize(image)
        assert "the image" in [item.label for item in answer.items]
        assert answer.made_by.detector.precision == answer.made_by.extractor.precision == (precision or "fp32")


def test_what_is_in_it(made: Path) -> None:
    opened = Bundle.open(made)
    assert opened.verify() == 12
    assert (opened.manifest.name, opened.manifest.license) == ("mine", "CC0")
    receipt = json.loads((made / "receipt.json").read_text(encoding="utf-8"))
    assert receipt["schema_version"] == 2
    assert {"paddlepaddle", "paddle2onnx", "openvino", "onnxruntime", "onnx opset"} <= set(receipt["made_with"])
    for network in receipt["networks"]:
        assert {check["engine"] for check in network["checks"]} == set(ENGINES)
        assert all(check["passed"] and check["bytes"] > 0 for check in network["checks"])
        assert all(len(file["sha256"]) == 64 for file in network["facts"]["source"])
    assert all(agreement["agreed"] == agreement["boxes"] > 0 for agreement in receipt["agreement"][:2])
    assert "# mine" in (made / "README.md").read_text(encoding="utf-8")
    halves = sum((made / f"{role}.fp16.bin").stat().st_size for role in ("detector", "extractor"))
    assert halves < 0.75 * sum((made / f"{role}.bin").stat().st_size for role in ("detector", "extractor"))


def test_a_receipt_that_misses_its_tolerances(paddle_models: Models, photos: Path, made: Path, tmp_path: Path) -> None:
    """The table is printed, and an older bundle stays as it was."""
    target = tmp_path / "models" / "mine"
    shutil.copytree(made, target)
    done = export_bundle(paddle_models, photos, tmp_path, "--tolerance-px", 0, "--tolerance-score", 0)
    assert "misses its tolerances" in error_of(done)
    assert "MISSED" in done.stdout
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }
    assert [path.name for path in target.parent.iterdir()] == ["mine"]


def test_int8_of_its_own_images(paddle_models: Models, tmp_path: Path) -> None:
    """Forty images are enough to try; whatever the verdict, float32 is there and the receipt says what it cost."""
    folder = tmp_path / "many"
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(40):
        coarse = random.integers(0, 255, (5, 5, 3), np.uint8)
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    done = export_bundle(paddle_models, folder, tmp_path, "--calibrate", folder)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "models" / "mine"
    receipt = json.loads((made / "receipt.json").read_text(encoding="utf-8"))
    for network, role in zip(receipt["networks"], ("detector", "extractor"), strict=True):
        (figures,) = network["precisions"]
        assert figures["precision"] == "int8"
        assert figures["layers"] >= len(figures["kept_float"])
        assert figures["ms"] > 0
        assert (made / f"{role}.int8.xml").is_file() == (not figures["reasons"])
        assert ("REFUSED" in done.stdout) >= bool(figures["reasons"])
    Bundle.open(made).verify()


def test_too_few_images_for_int8(paddle_models: Models, photos: Path, tmp_path: Path) -> None:
    assert "at least 30" in error_of(export_bundle(paddle_models, photos, tmp_path, "--calibrate", photos))
    assert not (tmp_path / "models" / "mine").exists()


def test_something_else_is_in_the_way(paddle_models: Models, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / "thesis.txt").write_text("years of work")
    assert "is in the way" in error_of(export_bundle(paddle_models, photos, tmp_path))
    assert (tmp_path / "models" / "mine" / "thesis.txt").read_text() == "years of work"


def _broken(model: Path, folder: Path, what: str) -> Path:
    shutil.copytree(model, folder)
    weights = folder / "inference.pdiparams"
    if what == "no weights":
        weights.unlink()
    elif what == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif what == "other weights":
        shutil.copy(model.parent / "rec_v1" / weights.name, weights)
    elif what == "cut graph":
        graph = folder / "inference.pdmodel"
        graph.write_bytes(graph.read_bytes()[:777])
    elif what == "no model":
        for path in folder.iterdir():
            path.unlink()
    elif what == "checkpoint":
        for path in folder.iterdir():
            path.unlink()
        (folder / "best_model.pdparams").write_bytes(b"\0" * 99)
    return folder


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no model", "holds no model"),
        ("no weights", "weights are missing"),
        ("cut weights", "cut short"),
        ("other weights", "not this model's weights"),
        ("cut graph", "damaged"),
        ("checkpoint", "export it first"),
    ],
)
def test_bad_models(paddle_models: Models, photos: Path, tmp_path: Path, what: str, says: str) -> None:
    folder = paddle_models["pdmodel"]
    broken = _broken(folder / DETECTOR, tmp_path / "broken", what)
    networks = ("--detector", broken, "--extractor", folder / EXTRACTOR)
    done = export("bundle", *networks, "--out", tmp_path / "out", "--images", photos, cwd=tmp_path)
    assert says in error_of(done)
    assert not (tmp_path / "out").exists()


def test_networks_the_wrong_way_round(paddle_models: Models, photos: Path, tmp_path: Path) -> None:
    folder = paddle_models["json"]
    networks = ("--detector", folder / EXTRACTOR, "--extractor", folder / DETECTOR)
    done = export("bundle", *networks, "--out", tmp_path / "out", "--images", photos, cwd=tmp_path)
    assert "expected a PicoDet" in error_of(done)


def test_an_op_that_nothing_converts(paddle_models: Models, tmp_path: Path) -> None:
    done = export("convert", paddle_models["pdmodel"] / "eigenvalues", "--out", tmp_path / "out", cwd=tmp_path)
    assert "eigvals" in error_of(done)
    inspected = export("inspect", paddle_models["pdmodel"] / "eigenvalues", cwd=tmp_path)
    assert inspected.returncode == 0
    assert "does not convert" in inspected.stdout
    assert "eigvals" in inspected.stdout


class _Server:
    """Serves a folder on this machine; may break off an answer in the middle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[tuple[str, str | None]] = []
        self.break_once: set[str] = set()
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                outer.requests.append((self.path, wanted))
                path = folder / self.path.lstrip("/")
                if not path.is_file():
                    self.send_error(404)
                    return
                content = path.read_bytes()
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                self.send_response(206 if wanted else 200)
                if wanted:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                breaks = self.path in outer.break_once
                outer.break_once.discard(self.path)
                self.wfile.write(content[start : len(content) // 2 if breaks else None])

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def pack(model: Path, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as tar:
        tar.add(model, arcname=archive.name.removesuffix(".tar"))


@pytest.fixture
def archives(paddle_models: Models, tmp_path: Path) -> Path:
    folder = tmp_path / "www"
    for name, model in ARCHIVES.items():
        pack(paddle_models["pdmodel"] / model, folder / name)
    return folder


@pytest.fixture
def server(archives: Path) -> Iterator[_Server]:
    running = _Server(archives)
    yield running
    running.close()


def official(server: _Server, photos: Path, cwd: Path, *more: object) -> subprocess.CompletedProcess[str]:
    """Export what the server has under the official names; the release's own digest is not that of drawn networks."""
    served = hashlib.sha256((server.folder / EXTRACTOR_TAR).read_bytes()).hexdigest()
    pinned = ("--extractor-sha256", served)
    return export("official", "ppshitu-v2", "--mirror", server.url, "--images", photos, *pinned, *more, cwd=cwd)


def left_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} if folder.exists() else set()


def test_official(server: _Server, photos: Path, tmp_path: Path) -> None:
    """A connection that breaks is taken up again, and what is there is not loaded a second time."""
    server.break_once = {f"/{DAMAGED_TAR}"}
    done = official(server, photos, tmp_path)
    assert done.returncode == 0, done.stderr
    ranges = [wanted for path, wanted in server.requests if path == f"/{DAMAGED_TAR}"]
    assert ranges[0] is None
    assert ranges[1] is not None, "the second request asks for the rest"
    receipt = json.loads((tmp_path / "models" / "ppshitu-v2" / "receipt.json").read_text(encoding="utf-8"))
    for entry, name in zip(receipt["downloads"], ARCHIVES, strict=True):
        content = (tmp_path / "www" / name).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    Bundle.open(tmp_path / "models" / "ppshitu-v2").verify()
    before = len(server.requests)
    assert official(server, photos, tmp_path).returncode == 0
    assert len(server.requests) == before


def test_a_wrong_digest(server: _Server, photos: Path, tmp_path: Path) -> None:
    message = error_of(official(server, photos, tmp_path, "--detector-sha256", "0" * 64))
    assert "0" * 64 in message
    assert not (tmp_path / "models").exists()
    assert not left_in(tmp_path / "cache")


def test_no_such_archive(server: _Server, archives: Path, photos: Path, tmp_path: Path) -> None:
    (archives / DAMAGED_TAR).unlink()
    message = error_of(official(server, photos, tmp_path))
    assert "404" in message
    assert f"{server.url}/{DAMAGED_TAR}" in message
    assert "--from-dir" in message


def test_an_archive_that_leaves_its_folder(server: _Server, archives: Path, photos: Path, tmp_path: Path) -> None:
    with tarfile.open(archives / DAMAGED_TAR, "a") as tar:
        member = tarfile.TarInfo("../../evil.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    assert "evil.txt" in error_of(official(server, photos, tmp_path))
    assert not list(tmp_path.rglob("evil.txt"))
    assert not (tmp_path / "models").exists()


def test_a_full_disk(server: _Server, photos: Path, tmp_path: Path) -> None:
    """A limit on file sizes acts as a disk that is full; the server's answer does not fit."""
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); from shitu_edge_export.cli import main; main()"
    )
    paths = [str(Path(__file__).parents[2] / "export"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", code, "official", "ppshitu-v2", "--mirror", server.url, "--images", str(photos)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), CACHE_VARIABLE: str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot be written: File too large" in error_of(done)
    assert not (tmp_path / "models").exists()
    assert not [name for name in left_in(tmp_path / "cache") if name.endswith(".tar")], "no archive that is not whole"


@pytest.mark.parametrize("packed", [True, False], ids=["archives", "folders"])
def test_from_a_folder(archives: Path, photos: Path, tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "usb"
    folder.mkdir()
    for name in ARCHIVES:
        if packed:
            shutil.copy(archives / name, folder)
        else:
            with tarfile.open(archives / name) as tar:
                for member in tar.getmembers():
                    path = folder / member.name
                    content = tar.extractfile(member)
                    path.mkdir(exist_ok=True) if content is None else path.write_bytes(content.read())
    done = export("official", "ppshitu-v2", "--from-dir", folder, "--images", photos, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    Bundle.open(tmp_path / "models" / "ppshitu-v2").verify()


def test_paddlex_archives(paddle_models: Models, photos: Path, tmp_path: Path) -> None:
    """The newer format, with a description of the input beside it."""
    for name, model, text in (
        ("PP-ShiTuV2_det_infer.tar", DETECTOR, _DETECTOR_INPUT),
        (
            "PP-ShiTuV2_rec_infer.tar",
            EXTRACTOR,
            "PreProcess: {transform_ops: [{NormalizeImage: {scale: 1.0/200.0}}]}\n",
        ),
    ):
        folder = tmp_path / "paddlex" / model
        shutil.copytree(paddle_models["json"] / model, folder)
        (folder / "inference.yml").write_text(text, encoding="utf-8")
        pack(folder, tmp_path / "usb" / name)
    done = export("official", "ppshitu-v2", "--from-dir", tmp_path / "usb", "--images", photos, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = Bundle.open(tmp_path / "models" / "ppshitu-v2").manifest
    assert manifest.detector.network.input.resize == "bilinear", "as its inference.yml says"
    assert manifest.extractor.network.input.scale == 1 / 200


def test_wrong_usage(tmp_path: Path) -> None:
    done = export("official", "ppshitu-v9", cwd=tmp_path)
    assert done.returncode == 2
    assert "ppshitu-v1" in done.stderr
