"""Opening a bundle's network on an engine."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from ..engines import EngineName, Model, ModelFiles, NoEngineError, Resources, Session, open_session
from ..engines.cache import user_cache
from ..errors import BundleError
from .manifest import Bundle, Network, bundle_folders

DEFAULT_BUNDLE = "shitu-small"
BUNDLE_VARIABLE = "SHITU_EDGE_BUNDLE"


def open_bundle(bundle: str | os.PathLike[str] | None) -> Bundle:
    """Open a bundle by folder or name; by default that of `$SHITU_EDGE_BUNDLE` or the built-in one.

    Raises:
        BundleError: it cannot be opened, or the default is not installed.
    """
    chosen = bundle or os.environ.get(BUNDLE_VARIABLE)
    if chosen:
        return Bundle.open(chosen)
    if DEFAULT_BUNDLE not in {folder.name for folder in bundle_folders()}:
        raise BundleError(
            f"no model bundle was named, and the default, {DEFAULT_BUNDLE}, is not installed: name a folder "
            f"(--models, or ${BUNDLE_VARIABLE})"
        )
    return Bundle.open(DEFAULT_BUNDLE)


def open_network(
    bundle: Bundle, network: Network, engine: EngineName, precision: str | None, resources: Resources, batch: int = 1
) -> Session:
    """Load a bundle's network for `batch` images at a time, in its default precision unless one is named.

    If no engine can run the default precision (onnxruntime has no INT8 files), float32 is used; the log and the
    session's `info` say so.

    Raises:
        BundleError: the bundle lacks this precision, or a file is missing or altered.
        EngineError: the engine cannot run it.
    """
    if precision is not None:
        return _open(bundle, network, engine, precision, resources, batch)
    try:
        return _open(bundle, network, engine, network.default_precision, resources, batch)
    except NoEngineError as error:
        if network.default_precision == "fp32" or "fp32" not in network.files:
            raise
        return _open(bundle, network, engine, "fp32", resources, batch, error.reasons[0])


def _open(
    bundle: Bundle,
    network: Network,
    engine: EngineName,
    precision: str,
    resources: Resources,
    batch: int,
    earlier: str | None = None,
) -> Session:
    stored = "fp32" if precision == "bf16" else precision  # bf16 is a way to compute with the fp32 files
    formats = tuple(network.files.get(stored, {}))
    if not formats:
        raise BundleError(f"{bundle.folder}: {network.name} has no {stored} files, only {', '.join(network.files)}")
    shapes: dict[str, tuple[int, ...]] = {network.input.name: network.input.shape(batch)}
    shapes |= {name: np.shape(value) for name, value in network.constants.items()}
    model = Model(network.name, precision, formats, partial(_locate, bundle, network, stored), shapes)
    return open_session(model, engine, resources, earlier)


def cache_folder(cache: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder for compiled models: the user's cache folder for None; no folder for an empty path."""
    if cache is None:
        return user_cache()
    return Path(cache) if os.fspath(cache) else None


def _locate(bundle: Bundle, network: Network, precision: str, file_format: str) -> ModelFiles:
    paths = bundle.verified_files(network, precision, file_format)
    return ModelFiles(paths, " ".join(file.sha256 for file in network.files[precision][file_format]))
