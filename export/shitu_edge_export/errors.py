"""Errors of the export stage; each message is one line for people and says what to do.

ExportError                 anything shitu-edge-export refuses to do; also a ShituError
├── ModelError              a model that is missing, incomplete, damaged or of another kind than asked for
├── ConversionError         a converter failed or crashed
└── ToleranceError          a conversion works, but differs from its source by too much (in `receipt.py`)
"""

from __future__ import annotations

from shitu_edge.errors import ShituError


class ExportError(ShituError):
    """Base of all errors that shitu-edge-export raises on purpose."""


class ModelError(ExportError):
    """A model is missing, incomplete, damaged or of another kind than asked for."""


class ConversionError(ExportError):
    """A converter failed or crashed."""
