"""NumPy files of a bundle, read with a limit and their checksum."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, os_errors_as
from ..system.files import read_bounded


def read_listed(path: Path, sha256: str, most_bytes: int) -> bytes:
    """Return the content of a file that `bundle.json` lists with a checksum.

    Raises:
        BundleError: the file is missing, larger, or altered.
    """
    with os_errors_as(BundleError, path):
        content = read_bounded(path, most_bytes)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BundleError(f"{path}: checksum mismatch: bundle.json says {sha256}, found {found}; copy the bundle again")
    return content


def parse_array(content: bytes, where: str) -> NDArray[Any] | None:
    """Return the table of floating-point numbers that a NumPy file holds, None if it holds another array.

    Raises:
        BundleError: it is not a NumPy file; `where` names it.
    """
    try:
        array = np.load(BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy raises errors of all kinds on other bytes
        raise BundleError(f"{where}: is not a NumPy array: {error}") from error
    is_table = isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.ndim == 2
    return array if is_table else None
