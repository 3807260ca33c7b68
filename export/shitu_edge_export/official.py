"""The official PP-ShiTu models: where they are published, and from a download to folders that can be exported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shitu_edge.system.digest import file_sha256
from shitu_edge.system.files import read_json, write_aside

from .archive import extract
from .download import Download, download
from .errors import ModelError
from .progress import Progress
from .source import find_graph

MIRROR = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/rec/models/inference"
"""As in PaddleClas' documentation (`docs/zh_CN/deployment/PP-ShiTu`, release 2.6)."""
_MAX_RECORD = 1 << 16
_DETECTOR = "picodet_PPLCNet_x2_5_mainbody_lite_v1.0_infer.tar"

Digests = tuple[str | None, str | None]
"""SHA-256 of the detector's and the extractor's archive in hexadecimal, None where it is not known."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of PP-ShiTu: the archives of its networks, relative to the mirror, and other names they go by.

    PaddleX publishes the same networks under `paddlex`, with an `inference.yml` beside each. PaddleClas publishes no
    digests: `digests` holds what others have recorded.
    """

    name: str
    detector: str
    extractor: str
    paddlex: tuple[str, str] | None = None
    digests: Digests = (None, None)


RELEASES: Mapping[str, Release] = {
    "ppshitu-v1": Release("ppshitu-v1", _DETECTOR, "general_PPLCNet_x2_5_lite_v1.0_infer.tar"),
    "ppshitu-v2": Release(
        "ppshitu-v2",
        _DETECTOR,
        "PP-ShiTuV2/general_PPLCNetV2_base_pretrained_v1.0_infer.tar",
        ("PP-ShiTuV2_det_infer.tar", "PP-ShiTuV2_rec_infer.tar"),
        # From github.com/gabo1/deepfrigate, models/vehicle-embedding, which checks it at each build.
        (None, "b55f63f2f93eb42b0ff232154180f5e54d99da0891a200a2439d7a0a0ef8c026"),
    ),
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A release's two model folders, and what was downloaded for them."""

    detector: Path
    extractor: Path
    downloads: tuple[Download, ...] = ()


def fetch_release(release: Release, folder: Path, mirror: str, digests: Digests, progress: Progress) -> Fetched:
    """Download a release's archives and unpack them.

    Without a digest the first download of an archive is trusted and its digest is written down beside it; later ones,
    from whatever mirror, have to be the same.

    Args:
        release: which.
        folder: for archives and models; what is complete there is not loaded again.
        mirror: address that the archives' names are added to.
        digests: what the archives must have; None for the release's own, or the one written down.
        progress: for the user.

    Raises:
        ExportError: an archive cannot be loaded, is not as expected, or is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places, downloads = [], []
    names = (release.detector, release.extractor)
    for name, digest, known in zip(names, digests, release.digests, strict=True):
        url = f"{mirror.rstrip('/')}/{name}"
        downloads.append(_download(url, folder / PurePosixPath(name).name, digest or known, progress))
        places.append(_unpack(downloads[-1].path, folder / downloads[-1].sha256[:16]))
    return Fetched(places[0], places[1], tuple(downloads))


def _download(url: str, target: Path, digest: str | None, progress: Progress) -> Download:
    """Load an archive, write down its address, size and digest, and say the digest."""
    record = target.with_suffix(".json")
    expected = digest or _written_down(record)
    with progress.transfer(target.name) as report:
        done = download(url, target, sha256=expected, report=report)
    facts = {"url": done.url, "size": done.size, "sha256": done.sha256}
    write_aside(record, (json.dumps(facts, indent=2) + "\n").encode())
    trust = "as expected" if expected else f"trusted as the first one; written down in {record}"
    progress.note(f"{target.name}: SHA-256 {done.sha256}, {trust}")
    return done


def _written_down(record: Path) -> str | None:
    """Return the digest that was written down, None if there is none."""
    try:
        known = read_json(record, _MAX_RECORD)
    except (OSError, ValueError):
        return None
    digest = known.get("sha256") if isinstance(known, dict) else None
    return digest if isinstance(digest, str) else None


def find_release(release: Release, folder: Path, digests: Digests, scratch: Path) -> Fetched:
    """Take a release's models from a folder that holds their archives or unpacked folders, PaddleClas' or PaddleX's.

    Raises:
        ModelError: one of them is not there, or is not the archive of the digest given.
    """
    places = []
    for position, name in enumerate((release.detector, release.extractor)):
        names = [PurePosixPath(name).name]
        if release.paddlex:
            names.append(release.paddlex[position])
        places.append(_find(folder, names, digests[position], scratch))
    return Fetched(places[0], places[1])


def _find(folder: Path, names: list[str], digest: str | None, scratch: Path) -> Path:
    for name in names:
        for entry in (folder / name.removesuffix(".tar"), folder / name):
            if entry.is_dir():
                if digest:
                    raise ModelError(
                        f"{entry}: expected the archive {name}, whose digest can be checked, found a folder"
                    )
                return _model_folder(entry)
            if entry.is_file():
                if digest and (found := file_sha256(entry)) != digest.lower():
                    raise ModelError(f"{entry}: wrong SHA-256: expected {digest}, found {found}")
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
