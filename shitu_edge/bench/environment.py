"""The environment of a measurement: machine, versions, load."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__
from ..imaging.opencv import opencv
from ..system.cpu import Cpu, read_cpu

_PACKAGES = ("numpy", "pillow", "openvino", "onnxruntime", "hnswlib")
_MISSING = "not installed"
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment of this process.

    Attributes:
        cpu: model, features and limits.
        governor: CPU frequency governor (`performance`, `powersave`, ...); empty if unknown.
        load: mean number of runnable processes in the last minute; None if unknown.
        system, python: versions.
        versions: of this package and its engines.
    """

    cpu: Cpu
    governor: str
    load: float | None
    system: str
    python: str
    versions: dict[str, str]

    def warnings(self) -> list[str]:
        """Return reasons to doubt the measurement."""
        found = []
        if self.load is not None and self.load > 0.5:
            found.append(f"the machine was busy before the benchmark began: load {self.load:.1f}")
        if self.governor == "powersave":
            found.append("the CPU governor is powersave: short work runs at a low clock")
        if self.cpu.quota_cpus is not None and self.cpu.quota_cpus < self.cpu.physical_cores:
            found.append(f"this process may use {self.cpu.quota_cpus:g} of {self.cpu.physical_cores} cores on average")
        return found


def read_environment(root: Path = Path("/")) -> Environment:
    """Read the environment of this process; `root` is the file system's root, for tests."""
    governor = root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    return Environment(
        read_cpu(root),
        governor.read_text(encoding="utf-8").strip() if governor.is_file() else "",
        os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        platform.platform(),
        platform.python_version(),
        read_versions(),
    )


def read_versions() -> dict[str, str]:
    """Return the versions of this package and its engines."""
    packages = {name: _version(name) for name in _PACKAGES}
    cv2 = opencv()
    return {"shitu-edge": __version__} | packages | {"opencv": cv2.__version__ if cv2 else _MISSING}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _MISSING


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident and peak memory of this process in bytes; None if unknown."""

    resident: int | None
    peak: int | None


def read_memory(root: Path = Path("/")) -> Memory:
    """Read this process's memory; other systems than Linux give at most the peak."""
    facts = {}
    status = root / "proc/self/status"
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            facts[name] = value
    return Memory(_bytes(facts.get("VmRSS")), _bytes(facts.get("VmHWM")) or _peak())


def _bytes(value: str | None) -> int | None:
    return int(value.split()[0]) * _KIB if value else None


def _peak() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB
