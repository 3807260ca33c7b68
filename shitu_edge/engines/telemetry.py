"""Importing engines without their telemetry.

Both decide at their import whether they report their use, and report that import itself. OpenVINO goes without where
its package `openvino_telemetry` cannot be imported; onnxruntime reads `$ORT_DISABLE_TELEMETRY`, and what it offers for
later, `disable_telemetry_events()`, comes after the first event and the device id in the home folder. Neither looks
again, so both switches need to hold during the import alone. Where a program has imported an engine before it imports
us, the decision was that program's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGE = "openvino_telemetry"
_VARIABLE = "ORT_DISABLE_TELEMETRY"


def turn_off() -> None:
    """Turn it off for good, in this process and those that it starts: for programs of ours that import engines."""
    sys.modules[_PACKAGE] = None  # type: ignore[assignment]  # None: what imports it meets an ImportError
    os.environ[_VARIABLE] = "1"


@contextmanager
def turned_off() -> Iterator[None]:
    """Turn it off for the imports inside; the modules and the environment of a program that embeds us stay its own."""
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
