"""Checks of a network's files: regular, of bounded size, and complete as listed."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection
from contextlib import closing
from mmap import ACCESS_READ, mmap
from pathlib import Path

from ..errors import BundleError, os_errors_as
from ..system.digest import file_sha256
from ..system.files import open_regular
from .external_data import external_files

_MOST_BYTES = 1 << 30
_XML = re.compile(rb"(\xef\xbb\xbf)?\s*<")


def network_sha256(path: Path) -> str:
    """Return the SHA-256 of one of the files.

    Raises:
        BundleError: it cannot be read, is not a regular file, or is larger than 1 GiB.
    """
    with os_errors_as(BundleError, path):
        return file_sha256(path, _MOST_BYTES)


def refuse_unlisted(network: Path, file_format: str, beside: Collection[str]) -> None:
    """Check that a network uses only listed files, as no checksum covers others.

    Args:
        network: the file that is opened.
        file_format: its listed format. OpenVINO goes by content: an IR named ONNX would load its weights.
        beside: the other listed files, relative to its folder.

    Raises:
        BundleError: it uses others, is of another format, or cannot be read.
    """
    try:
        with open_regular(network) as stream:
            if not os.fstat(stream.fileno()).st_size:
                raise ValueError("is empty")
            with closing(mmap(stream.fileno(), 0, access=ACCESS_READ)) as content:
                is_xml = _XML.match(content) is not None
                named = external_files(content) if file_format == "onnx" and not is_xml else set()
    except OSError as error:
        raise BundleError(f"{network}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BundleError(f"{network}: {error}") from error
    if is_xml != (file_format == "openvino"):
        raise BundleError(f"{network}: is {'' if is_xml else 'not '}an OpenVINO IR, bundle.json says {file_format}")
    if is_xml and not beside:
        raise BundleError(f"{network}: bundle.json lists no .bin file with its weights")
    listed = set(map(posixpath.normpath, beside))
    unlisted = sorted(name for name in named if posixpath.normpath(name) not in listed)
    if unlisted:
        raise BundleError(
            f"{network}: keeps tensors in {unlisted[0]!r:.80}, which bundle.json does not list; list the file, or "
            "save the model as one file"
        )
