"""Importing engines without their telemetry.

Both decide at import whether to report their use, and report the import itself. OpenVINO does not if its package
`openvino_telemetry` cannot be imported; onnxruntime does not if `$ORT_DISABLE_TELEMETRY` is set. (Its function
`disable_telemetry_events()` comes too late: after the first event and a device id in the home folder.) So both switches
are needed only during the import. If a program imports an engine before shitu-edge, it decides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGE = "openvino_telemetry"
_VARIABLE = "ORT_DISABLE_TELEMETRY"


def turn_off() -> None:
    """Turn it off for good, in this process and its children."""
    sys.modules[_PACKAGE] = None  # type: ignore[assignment]  # None: importing it raises ImportError
    os.environ[_VARIABLE] = "1"


@contextmanager
def turned_off() -> Iterator[None]:
    """Turn it off for the imports inside; restores modules and environment."""
    missing = object()
    module, variable = sys.modules.get(_PACKAGE, missing), os.environ.get(_VARIABLE)
    turn_off()
    try:
        yield
    finally:
        if module is missing:
            sys.modules.pop(_PACKAGE, None)
        else:
            sys.modules[_PACKAGE] = module  # type: ignore[assignment]
        if variable is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = variable
