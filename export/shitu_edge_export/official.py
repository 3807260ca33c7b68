"""The official PP-ShiTu models: where they are published, and from a download to folders that can be exported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shitu_edge.files import read_json

from .archive import extract
from .download import Download, download
from .errors import ModelError
from .progress import Progress
from .source import find_graph

MIRROR = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/rec/models/inference"
"""As in PaddleClas' documentation (`docs/zh_CN/deployment/PP-ShiTu`, release 2.6)."""
_MAX_RECORD = 1 << 16
_DETECTOR = "picodet_PPLCNet_x2_5_mainbody_lite_v1.0_infer.tar"


@dataclass(frozen=True, slots=True)
class Release:
    """A release of PP-ShiTu: the archives of its networks, relative to the mirror, and other names they go by.

    PaddleX publishes the same networks under `paddlex`, with an `inference.yml` beside each.
    """

    name: str
    detector: str
    extractor: str
    paddlex: tuple[str, str] | None = None


RELEASES: Mapping[str, Release] = {
    "ppshitu-v1": Release("ppshitu-v1", _DETECTOR, "general_PPLCNet_x2_5_lite_v1.0_infer.tar"),
    "ppshitu-v2": Release(
        "ppshitu-v2",
        _DETECTOR,
        "PP-ShiTuV2/general_PPLCNetV2_base_pretrained_v1.0_infer.tar",
        ("PP-ShiTuV2_det_infer.tar", "PP-ShiTuV2_rec_infer.tar"),
    ),
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A release's two model folders, and what was downloaded for them."""

    detector: Path
    extractor: Path
    downloads: tuple[Download, ...] = ()


def fetch_release(
    release: Release, folder: Path, mirror: str, digests: tuple[str | None, str | None], progress: Progress
) -> Fetched:
    """Download a release's archives and unpack them.

    Args:
        release: which.
        folder: for archives and models; what is complete there is not loaded again.
        mirror: address that the archives' names are added to.
        digests: SHA-256 that the detector's and the extractor's archive must have, None to take what comes.
        progress: for the user.

    Raises:
        ExportError: an archive cannot be loaded, is not as expected, or is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places, downloads = [], []
    for name, digest in zip((release.detector, release.extractor), digests, strict=True):
        url = f"{mirror.rstrip('/')}/{name}"
        downloads.append(_download(url, folder / PurePosixPath(name).name, digest, progress))
        places.append(_unpack(downloads[-1].path, folder / downloads[-1].sha256[:16]))
    return Fetched(places[0], places[1], tuple(downloads))


def _download(url: str, target: Path, digest: str | None, progress: Progress) -> Download:
    """Load an archive and write down its address, size and digest; one that is there as written down is kept."""
    record = target.with_suffix(".json")
    if digest is None and target.is_file():
        digest = _recorded(record, url)
    with progress.transfer(target.name) as report:
        done = download(url, target, sha256=digest, report=report)
    facts = {"url": done.url, "size": done.size, "sha256": done.sha256}
    record.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return done


def _recorded(record: Path, url: str) -> str | None:
    """Return the digest that was written down for an address, None where there is none."""
    try:
        known = read_json(record, _MAX_RECORD)
    except (OSError, ValueError):
        return None
    digest = known.get("sha256") if isinstance(known, dict) and known.get("url") == url else None
    return digest if isinstance(digest, str) else None


def find_release(release: Release, folder: Path, scratch: Path) -> Fetched:
    """Take a release's models from a folder that holds their archives or unpacked folders, PaddleClas' or PaddleX's.

    Raises:
        ModelError: one of them is not there.
    """
    places = []
    for position, name in enumerate((release.detector, release.extractor)):
        names = [PurePosixPath(name).name]
        if release.paddlex:
            names.append(release.paddlex[position])
        places.append(_find(folder, names, scratch))
    return Fetched(places[0], places[1])


def _find(folder: Path, names: list[str], scratch: Path) -> Path:
    for name in names:
        for entry in (folder / name.removesuffix(".tar"), folder / name):
            if entry.is_dir():
                return _model_folder(entry)
            if entry.is_file():
                return _unpack(entry, scratch / name.removesuffix(".tar"))
    listed = " or ".join(f"{name} (or the folder {name.removesuffix('.tar')})" for name in names)
    raise ModelError(f"{folder}: expected {listed} in it")


def _unpack(archive: Path, folder: Path) -> Path:
    if not folder.is_dir():
        extract(archive, folder)
    return _model_folder(folder)


def _model_folder(folder: Path) -> Path:
    """Return the folder of the one model below a folder."""
    candidates = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    for candidate in candidates:
        try:
            find_graph(candidate)
        except ModelError:
            continue
        return candidate
    raise ModelError(f"{folder}: the archive holds no model")
