"""The processor as available to this process: affinity, cgroup quota, physical cores, features."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
_FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "sve"),
)


@dataclass(frozen=True, slots=True)
class Cpu:
    """Model name, instruction sets relevant for inference, and the three limits on threads."""

    model: str
    features: tuple[str, ...]
    allowed_cpus: int
    physical_cores: int
    quota_cpus: float | None

    @property
    def threads(self) -> int:
        """Useful number of threads: one per usable physical core, limited by the quota."""
        quota = int(self.quota_cpus) if self.quota_cpus is not None else self.physical_cores
        return max(1, min(self.physical_cores, quota))


def read_cpu(root: Path = _ROOT) -> Cpu:
    """Read this process's processor; `root` is the file system's root, for tests."""
    allowed = _allowed_cpus()
    model, flags = _cpuinfo(root)
    features = tuple(feature for feature in _FEATURES if feature in flags)
    return Cpu(model, features, len(allowed), _physical_cores(root, allowed), _quota(root))


def is_described(root: Path = _ROOT) -> bool:
    """Return whether OpenVINO can read the CPUs; otherwise it would wait forever.

    On Linux it reads `/proc/cpuinfo` to its end (`lin_system_conf.cpp`), which never comes if the file cannot be
    opened, unless `/sys` names a range of CPUs with a cache or a frequency.
    """
    if sys.platform != "linux" or _read(root / "proc/cpuinfo"):
        return True
    cpus = root / "sys/devices/system/cpu"
    first = _read(cpus / "online").partition("-")[0].split(",")[-1]
    facts = ("cache/index0/shared_cpu_list", "cpufreq/cpuinfo_max_freq")
    ranges = all("-" in _read(cpus / name) for name in ("possible", "online"))
    return ranges and any(_read(cpus / f"cpu{first}" / fact) for fact in facts)


def _allowed_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _physical_cores(root: Path, allowed: set[int]) -> int:
    """Count distinct cores among the allowed CPUs; hyper-threads share a core's arithmetic units."""
    cores = set()
    for cpu in allowed:
        siblings = _read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(siblings or str(cpu))
    return len(cores)


def _quota(root: Path) -> float | None:
    """Return the tightest CPU quota of this process's cgroups (v2, then v1) in CPUs, None without one."""
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        relative = path.strip("/")
        if not controllers:
            base, read = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            base, read = root / "sys/fs/cgroup" / controllers, _quota_v1
            base = base if base.is_dir() else root / "sys/fs/cgroup/cpu"
        else:
            continue
        # In a container the path may be the host's; then only the mount's root exists.
        for folder in (base / relative, *(base / relative).parents):
            quota = read(folder)
            if quota is not None:
                quotas.append(quota)
            if folder == base:
                break
    return min(quotas, default=None)


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return _cpus(quota, period)


def _quota_v1(folder: Path) -> float | None:
    return _cpus(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _cpus(quota_us: str, period_us: str) -> float | None:
    """Return a quota in CPUs; None for `max`, -1 and anything not a number."""
    try:
        cpus = int(quota_us) / int(period_us)
    except (ValueError, ArithmeticError):
        return None
    return cpus if cpus > 0 else None


def _cpuinfo(root: Path) -> tuple[str, frozenset[str]]:
    facts: dict[str, str] = {}
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags") or facts.get("Features") or ""
    return facts.get("model name") or platform.processor() or platform.machine(), frozenset(flags.split())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return ""
