"""A model bundle on disk: a folder with `bundle.json`, the networks' files, a receipt and a model card.

Everything that differs between PP-ShiTu V1, V2 and other networks is in `bundle.json`; the code knows no network by
name. The classes below are that file: one key per field, nested in the same way.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, OptionError, os_errors_as
from ..ranges import require_instance, require_number, require_whole, shown
from ..schema import SchemaError, build
from ..system.files import read_bounded
from .built_in import BUNDLES
from .cohort import read_cohort
from .network_files import network_sha256, refuse_unlisted
from .objectness import read_objectness
from .policy import DecisionPolicy

MANIFEST = "bundle.json"
SCHEMA_VERSION = 5
_RENAMED_IN_2 = (("", "licence", "license"), ("", "recognition", "policy"), ("policy", "neighbours", "neighbors"))
"""Keys of version 1: where they are, their name then, and now."""
SEARCH_PATH_VARIABLE = "SHITU_EDGE_MODELS"

_MOST_MANIFEST_BYTES = 1 << 20
_SUFFIXES = {"openvino": ".xml", "onnx": ".onnx", "tflite": ".tflite"}
"""OpenVINO chooses a reader by suffix; other readers would open further files."""
_MOST_PIXELS_A_SIDE = 4096
_MOST_NUMBERS = 65536
_SIDE_STEP = 32
"""PicoDet's strides halve an input five times; its last level rounds up."""

Precision = Literal["fp32", "fp16", "int8", "bf16"]
"""`fp16`: weights stored in half precision, computed in float32. `bf16`: computed in bfloat16, from the fp32 files."""
Format = Literal["openvino", "onnx", "tflite"]


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A file: path relative to the bundle, and SHA-256 in hexadecimal."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Input of a network: one RGB image, resized without keeping its aspect ratio.

    The tensor of `height` × `width` holds `(gray level * scale - mean) / std` per channel as float32, or gray levels as
    uint8, in `layout` and channel order `color`. `mean` and `std` are always in the order red, green, blue.
    """

    name: str
    height: int
    width: int
    resize: Literal["bilinear", "cubic"]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    color: Literal["RGB", "BGR"] = "RGB"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def shape(self, rows: int = 1) -> tuple[int, int, int, int]:
        """Return the tensor's shape for `rows` images."""
        if self.layout == "NCHW":
            return rows, 3, self.height, self.width
        return rows, self.height, self.width, 3


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network in one or more file formats and precisions.

    `files[precision][format]` are the files of one variant, starting with the one to open. `source` is the origin of
    the weights; `source_sha256` identifies them in every variant. `constants` are further, constant inputs by name.
    """

    name: str
    source: str
    source_sha256: str
    files: Mapping[str, Mapping[str, tuple[NetworkFile, ...]]]
    input: InputSpec
    default_precision: Precision = "fp32"
    constants: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PicoDetLevels:
    """PicoDet's raw head: per stride a score and a distance output, decoded and suppressed by the runtime.

    `scores` are probabilities (1, h, w, C) or (1, h·w, C) or, with `scores_order` CN, (1, C, h, w) or (1, C, h·w);
    `distances` logits over `reg_max` + 1 bins per side (…, 4 · (reg_max + 1)), sides left, top, right, bottom.
    Bins stand for 0, 1, … `reg_max` strides unless `projection` says otherwise. `clip_first`: clip boxes to the image
    before suppression.
    """

    layout: Literal["picodet_levels"]
    strides: tuple[int, ...]
    scores: tuple[str, ...]
    distances: tuple[str, ...]
    reg_max: int = 7
    pre_nms_top_k: int = 1000
    nms_top_k: int = 1000
    nms_iou: float = 0.6
    keep_top_k: int = 100
    scores_order: Literal["NC", "CN"] = "NC"
    projection: tuple[float, ...] = ()
    clip_first: bool = True


@dataclass(frozen=True, slots=True)
class BoxesScores:
    """Decoded boxes (1, N, 4) and scores (1, N), (1, N, C) or, with `scores_order` CN, (1, C, N); no suppression yet.

    `coordinates`: `relative` to the input in 0..1, or pixels of the network's `input`.
    """

    layout: Literal["boxes_scores"]
    boxes: str
    scores: str
    scores_order: Literal["NC", "CN"] = "NC"
    box_order: Literal["xyxy", "yxyx"] = "xyxy"
    coordinates: Literal["relative", "input"] = "input"
    nms_top_k: int = 1000
    nms_iou: float = 0.6
    keep_top_k: int = 100


@dataclass(frozen=True, slots=True)
class Postprocessed:
    """Finished rows (N, 6) or (1, N, 6) with the given `columns`; output `count`, if named, counts valid rows.

    `coordinates` as in `BoxesScores`. A network with an input `scale_factor` gets ones (`Network.constants`).
    """

    layout: Literal["postprocessed"]
    rows: str
    count: str | None = None
    columns: tuple[str, ...] = ("class", "score", "x1", "y1", "x2", "y2")
    coordinates: Literal["relative", "input"] = "input"


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """A detector: network, layout of its outputs, least score of a box, most boxes per image.

    `shapes` are further sides (height, width) of its input at which it was measured, about as many pixels as its own;
    an image is looked at in the one that distorts it least, if that pays. Only `picodet_levels` have some: the grids of
    other heads are part of the network. Where most boxes from `score_threshold` on are small, those from
    `faint_threshold` on are looked at as well: what is small scores lower.
    """

    network: Network
    head: PicoDetLevels | BoxesScores | Postprocessed
    score_threshold: float = 0.2
    max_boxes: int = 5
    shapes: tuple[tuple[int, int], ...] = ()
    faint_threshold: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges; raises `OptionError`."""
        require_number("score_threshold", self.score_threshold, 0, 1)
        require_whole("max_boxes", self.max_boxes, 1)
        if self.faint_threshold is not None:
            require_number("faint_threshold", self.faint_threshold, 0, self.score_threshold)
        if self.shapes and not isinstance(self.head, PicoDetLevels):
            raise OptionError(f"shapes: expected none with the layout {self.head.layout}, found {shown(self.shapes)}")
        for side in (side for shape in self.shapes for side in shape):
            require_whole("shapes", side, _SIDE_STEP, _MOST_PIXELS_A_SIDE)
            if side % _SIDE_STEP:
                raise OptionError(f"shapes: expected multiples of {_SIDE_STEP}, found {side}")
        if not isinstance(self.head, Postprocessed):
            require_number("head.nms_iou", self.head.nms_iou, 0, 1)
            for name in ("pre_nms_top_k", "nms_top_k", "keep_top_k"):
                require_whole(f"head.{name}", getattr(self.head, name, 1), 1)


@dataclass(frozen=True, slots=True)
class ExtractorSpec:
    """An extractor: network, and name and size (`dim` numbers per image) of its output.

    `cohort`: a NumPy file with embeddings of foreign products (`bundle/cohort.py`), None without one. `objectness`: one
    with the weights by which boxes without a name count as products (`bundle/objectness.py`), or None.
    """

    network: Network
    output: str
    dim: int
    cohort: NetworkFile | None = None
    objectness: NetworkFile | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of source weights and preprocessing, not of format or precision; it binds galleries to the extractor."""
        facts = asdict(self.network.input)
        for key in ("name", "layout", "dtype"):
            del facts[key]
        facts |= {"weights": self.network.source_sha256, "dim": self.dim}
        return _sha256(json.dumps(facts, sort_keys=True).encode())[:32]


@dataclass(frozen=True, slots=True)
class Manifest:
    """`bundle.json`."""

    schema_version: int
    name: str
    description: str
    license: str
    detector: DetectorSpec
    extractor: ExtractorSpec
    policy: DecisionPolicy = field(default_factory=DecisionPolicy)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions for which both networks have files."""
        return tuple(name for name in self.detector.network.files if name in self.extractor.network.files)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An open bundle: folder, manifest, and the manifest's SHA-256, which covers every file's."""

    folder: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, bundle: str | os.PathLike[str]) -> Bundle:
        """Open a bundle by its folder or by the name of a known one (see `bundle_folders`).

        Raises:
            BundleError: it is missing, or this version does not understand its `bundle.json`.
            OptionError: that is not a path.
        """
        require_instance("bundle", bundle, (str, os.PathLike), "a path")
        folder = _locate(bundle)
        path = folder / MANIFEST
        with os_errors_as(BundleError, path):
            content = read_bounded(path, _MOST_MANIFEST_BYTES)
        return cls(folder, parse_manifest(content, str(path)), _sha256(content))

    def verified_files(self, network: Network, precision: str, file_format: str) -> tuple[Path, ...]:
        """Return the files of one variant of a network after checking their checksums.

        Raises:
            BundleError: the bundle lacks the variant, a file is missing or altered, or the network uses files that
                the manifest does not list.
        """
        files = network.files.get(precision, {}).get(file_format)
        if not files:
            raise BundleError(f"{self.folder}: {network.name} has no {precision} {file_format} files")
        paths = []
        for file in files:
            path = self.folder / file.path
            found = network_sha256(path)
            if found != file.sha256:
                raise BundleError(
                    f"{path}: checksum mismatch: bundle.json says {file.sha256}, found {found}; copy the bundle again"
                )
            paths.append(path)
        folder = PurePosixPath(files[0].path).parent
        refuse_unlisted(paths[0], file_format, {posixpath.relpath(file.path, folder) for file in files[1:]})
        return tuple(paths)

    def verify(self) -> int:
        """Check every file's checksum and return the number of files.

        Raises:
            BundleError: a file is missing or altered.
        """
        count = 0
        for network in (self.manifest.detector.network, self.manifest.extractor.network):
            for precision, formats in network.files.items():
                for file_format in formats:
                    count += len(self.verified_files(network, precision, file_format))
        return count + bool(len(self.cohort())) + (self.objectness() is not None)

    def cohort(self) -> NDArray[np.float32]:
        """Return unit rows (C, D) of products that are not the gallery's; (0, D) if the bundle has none.

        Raises:
            BundleError: the file is missing, altered, or does not hold such rows.
        """
        spec = self.manifest.extractor
        if spec.cohort is None:
            return np.zeros((0, spec.dim), np.float32)
        return read_cohort(self.folder / spec.cohort.path, spec.cohort.sha256, spec.dim)

    def objectness(self) -> NDArray[np.float32] | None:
        """Return the weights of `read_objectness`; None if the bundle has none.

        Raises:
            BundleError: the file is missing, altered, or does not hold such weights.
        """
        file, dim = self.manifest.extractor.objectness, self.manifest.extractor.dim
        return None if file is None else read_objectness(self.folder / file.path, file.sha256, dim)


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Parse the content of a `bundle.json`; `where` names it in errors.

    Raises:
        BundleError: it is not JSON, of another schema version, or a value is missing, unknown or of the wrong kind.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: is not JSON: {error}") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        raise BundleError(f"{where}: expected a schema_version up to {SCHEMA_VERSION}, found {version!r:.60}")
    if version < SCHEMA_VERSION:
        _upgrade(data, version)
    try:
        manifest = build(Manifest, data)
    except SchemaError as error:
        raise BundleError(f"{where}: {error}") from error
    _check(manifest, where)
    return manifest


def _upgrade(data: dict[str, Any], version: int) -> None:
    """Convert the content of an older manifest; versions 2 to 4 only lack what is optional."""
    data["schema_version"] = SCHEMA_VERSION
    for place, old, new in _RENAMED_IN_2 if version == 1 else ():
        part = data.get(place) if place else data
        if isinstance(part, dict) and old in part:
            part[new] = part.pop(old)


def write_manifest(folder: Path, manifest: Manifest) -> Bundle:
    """Write `bundle.json`, with checksums filled in, to a folder that holds the networks' files, and open it.

    Raises:
        BundleError: a file named by the manifest is missing.
    """
    data = asdict(manifest)
    for part in ("detector", "extractor"):
        for formats in data[part]["network"]["files"].values():
            for files in formats.values():
                for file in files:
                    file["sha256"] = network_sha256(folder / file["path"])
    for name in ("cohort", "objectness"):
        if file := data["extractor"][name]:
            file["sha256"] = network_sha256(folder / file["path"])
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return Bundle.open(folder)


def bundle_folders() -> Iterator[Path]:
    """Yield the folders of all bundles known by name: in `$SHITU_EDGE_MODELS`, `./models`, and built-in."""
    roots = [Path("models"), BUNDLES]
    if variable := os.environ.get(SEARCH_PATH_VARIABLE):
        roots = [Path(entry) for entry in variable.split(os.pathsep) if entry] + roots
    looked_at: set[Path] = set()
    for root in roots:
        if root.is_dir() and root.resolve() not in looked_at:  # in a checkout ./models holds the built-in ones
            looked_at.add(root.resolve())
            yield from sorted(path.parent for path in root.glob(f"*/{MANIFEST}"))


def _locate(bundle: str | os.PathLike[str]) -> Path:
    path = Path(bundle)
    if os.path.isdir(path):  # Path.is_dir raises on a name that is too long
        return path
    known = {folder.name: folder for folder in reversed(list(bundle_folders()))}
    if path.name == str(bundle) and path.name in known:
        return known[path.name]
    names = ", ".join(known) or "none"
    raise BundleError(f"{bundle}: no such bundle folder; bundles known by name: {names}")


def _check(manifest: Manifest, where: str) -> None:
    for network in (manifest.detector.network, manifest.extractor.network):
        # bf16 is a way to compute with the fp32 files.
        stored = "fp32" if network.default_precision == "bf16" else network.default_precision
        if not any(network.files.get(stored, {}).values()):
            raise BundleError(
                f"{where}: {network.name}: no files of its default precision, {network.default_precision}"
            )
        for formats in network.files.values():
            for file_format, files in formats.items():
                _check_paths(file_format, files, where)
        if min(network.input.height, network.input.width) < 1 or min(network.input.std) <= 0:
            raise BundleError(f"{where}: {network.name}: input sides and std must be positive")
        if max(network.input.height, network.input.width) > _MOST_PIXELS_A_SIDE:
            raise BundleError(f"{where}: {network.name}: expected input sides of at most {_MOST_PIXELS_A_SIDE} pixels")
        for name, rows in network.constants.items():
            if len({len(row) for row in rows}) > 1:
                raise BundleError(f"{where}: {network.name}: constants.{name}: expected rows of one length")
    if manifest.detector.faint_threshold is not None and manifest.extractor.objectness is None:
        raise BundleError(f"{where}: detector.faint_threshold needs an extractor.objectness")
    for file in (manifest.extractor.cohort, manifest.extractor.objectness):
        if file is not None:
            _check_paths("npy", (file,), where)
    if not 1 <= manifest.extractor.dim <= _MOST_NUMBERS:
        raise BundleError(f"{where}: expected a dim of 1 to {_MOST_NUMBERS}, found {manifest.extractor.dim}")
    head = manifest.detector.head
    if isinstance(head, PicoDetLevels):
        if not len(head.strides) == len(head.scores) == len(head.distances) > 0:
            raise BundleError(f"{where}: detector.head: expected as many scores and distances as strides")
        if min(head.strides) < 1 or head.reg_max < 1:
            raise BundleError(f"{where}: detector.head: strides and reg_max must be positive")
        if max(*head.strides, head.reg_max) > _MOST_NUMBERS:
            raise BundleError(f"{where}: detector.head: expected strides and reg_max of at most {_MOST_NUMBERS}")
        if len(head.projection) not in (0, head.reg_max + 1):
            raise BundleError(f"{where}: detector.head: expected a projection of {head.reg_max + 1} numbers, or none")
    if isinstance(head, Postprocessed) and (missing := {"score", "x1", "y1", "x2", "y2"} - set(head.columns)):
        raise BundleError(f"{where}: detector.head.columns: missing {', '.join(sorted(missing))}")


def _check_paths(file_format: str, files: Sequence[NetworkFile], where: str) -> None:
    for file in files:
        relative = PureWindowsPath(file.path)  # recognizes drives too
        if relative.anchor or ".." in relative.parts or "\\" in file.path or "\0" in file.path:
            raise BundleError(f"{where}: {file.path!r}: expected a path inside the bundle")
    suffix = _SUFFIXES.get(file_format)
    if suffix and files and not files[0].path.lower().endswith(suffix):
        raise BundleError(f"{where}: {files[0].path!r}: expected a name that ends in {suffix} for {file_format}")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
