from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shitu_edge.system import cpu as cpu_module
from shitu_edge.system.cpu import Cpu, is_described, read_cpu


def _put(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _v2(root: Path, group: str, limits: dict[str, str]) -> None:
    """A cgroup v2 hierarchy: this process is in `group`, and `limits` are the `cpu.max` of folders."""
    _put(root, "proc/self/cgroup", f"0::{group}\n")
    for folder, limit in limits.items():
        _put(root, f"sys/fs/cgroup/{folder}/cpu.max", limit + "\n")


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({}, None),
        ({"kiosk/app": "max 100000"}, None),
        ({"kiosk/app": "150000 100000"}, 1.5),
        ({"kiosk/app": "max 100000", "kiosk": "250000 100000"}, 2.5),
        ({"kiosk/app": "400000 100000", "kiosk": "50000 100000"}, 0.5),
        ({"kiosk/app": "20000 10000", "kiosk": "max 100000", ".": "300000 100000"}, 2.0),
        ({"kiosk/app": "300000 100000", "kiosk/other": "10000 100000"}, 3.0),
        ({".": "120000 100000"}, 1.2),
    ],
)
def test_quota_of_cgroup_v2_is_the_tightest_on_the_way_up(
    tmp_path: Path, limits: dict[str, str], quota: float | None
) -> None:
    _v2(tmp_path, "/kiosk/app", limits)
    assert read_cpu(tmp_path).quota_cpus == quota


@pytest.mark.parametrize("group", ["/", "/docker/of-the-host", "/../.."])
def test_quota_of_cgroup_v2_in_a_container_is_the_mounts_own(tmp_path: Path, group: str) -> None:
    _v2(tmp_path, group, {".": "80000 40000"})
    assert read_cpu(tmp_path).quota_cpus == 2.0


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(("quota_us", "quota"), [("-1", None), ("250000", 2.5)])
def test_quota_of_cgroup_v1(tmp_path: Path, mount: str, quota_us: str, quota: float | None) -> None:
    _put(tmp_path, "proc/self/cgroup", "5:memory:/app\n4:cpu,cpuacct:/kiosk/app\n1:name=systemd:/app\n")
    for folder, value in (("", "-1"), ("kiosk", "900000"), ("kiosk/app", quota_us)):
        _put(tmp_path, f"sys/fs/cgroup/{mount}/{folder}/cpu.cfs_quota_us", value)
        _put(tmp_path, f"sys/fs/cgroup/{mount}/{folder}/cpu.cfs_period_us", "100000")
    _put(tmp_path, "sys/fs/cgroup/memory/app/cpu.cfs_quota_us", "1")
    _put(tmp_path, "sys/fs/cgroup/memory/app/cpu.cfs_period_us", "100000")
    assert read_cpu(tmp_path).quota_cpus == (9.0 if quota is None else quota)


def test_without_any_files(tmp_path: Path) -> None:
    cpu = read_cpu(tmp_path)
    assert (cpu.quota_cpus, cpu.features) == (None, ())
    assert cpu.physical_cores == cpu.allowed_cpus >= 1


@pytest.mark.parametrize(
    ("allowed", "cores"),
    [({0, 1, 2, 3}, 2), ({0, 1}, 2), ({0, 2}, 1), ({3}, 1), ({0, 1, 2, 3, 9}, 3)],
)
def test_hyper_threads_of_one_core_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: set[int], cores: int
) -> None:
    monkeypatch.setattr(cpu_module, "_allowed_cpus", lambda: allowed)
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        _put(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", f"{siblings}\n")
    found = read_cpu(tmp_path)
    assert (found.allowed_cpus, found.physical_cores) == (len(allowed), cores)


@pytest.mark.parametrize(
    ("cores", "quota", "threads"), [(4, None, 4), (4, 2.5, 2), (4, 0.3, 1), (2, 8.0, 2), (1, 1.0, 1)]
)
def test_threads_are_what_cores_and_quota_allow(cores: int, quota: float | None, threads: int) -> None:
    assert Cpu("any", (), 2 * cores, cores, quota).threads == threads


def test_model_and_features(tmp_path: Path) -> None:
    one = "processor\t: {}\nmodel name\t: Kiosk CPU: 3000\nflags\t\t: fpu avx avx2 fma avx512_vnni sse4_2\n\n"
    _put(tmp_path, "proc/cpuinfo", one.format(0) + one.format(1))
    cpu = read_cpu(tmp_path)
    assert cpu.model == "Kiosk CPU: 3000"
    assert set(cpu.features) == {"sse4_2", "avx", "avx2", "fma", "avx512_vnni"}


_TOUCHED = (
    "proc/self/cgroup",
    "proc/cpuinfo",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/a/cpu.max",
    "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us",
    "sys/fs/cgroup/cpu/a/cpu.cfs_period_us",
    "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
)
_RUBBISH = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["0::/a", "3:cpu:/a", "0::/a\0b", "0:", "cpu", "::", "1 0", "0 0", "-5 100", "x y", "9" * 5000]),
    st.sampled_from(
        ["9" * 400 + " 1", "1 2 3", "max", "max max", "1.5 2", "inf 1", "٣ ٢", "0::/" + "a" * 5000, "\n\n"]
    ),
)


@settings(max_examples=60, deadline=None)
@example({"proc/self/cgroup": "0::/a\0b"})
@example({"proc/self/cgroup": "0:"})
@example({"sys/fs/cgroup/cpu.max": "1 0"})
@example({"sys/fs/cgroup/cpu.max": "9" * 5000 + " 1"})
@example({"sys/fs/cgroup/cpu.max": "9" * 400 + " 1"})
@example({"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "1", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "0"})
@given(st.dictionaries(st.sampled_from(_TOUCHED), _RUBBISH, max_size=len(_TOUCHED)))
def test_rubbish_never_raises(tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]) -> None:
    root = tmp_path_factory.mktemp("root")
    for name, content in {"proc/self/cgroup": "0::/a\n3:cpu:/a\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
    cpu = read_cpu(root)
    assert cpu.quota_cpus is None or cpu.quota_cpus > 0
    assert 1 <= cpu.threads <= cpu.allowed_cpus


def test_this_machine() -> None:
    cpu = read_cpu()
    assert cpu.model
    assert 1 <= cpu.threads <= cpu.physical_cores <= cpu.allowed_cpus <= (os.cpu_count() or 1)
    assert cpu.quota_cpus is None or cpu.quota_cpus > 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_counts() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert (read_cpu().allowed_cpus, read_cpu().threads) == (1, 1)
    finally:
        os.sched_setaffinity(0, before)
    assert read_cpu().allowed_cpus == len(before)


_RANGES = {"possible": "0-3", "online": "0-3"}
_CACHE = {"cpu0/cache/index0/shared_cpu_list": "0"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems are asked by calls")
@pytest.mark.parametrize(
    ("cpuinfo", "cpus", "described"),
    [
        ("", {}, False),
        ("processor : 0", {}, True),
        ("", _RANGES, False),
        ("", _RANGES | _CACHE, True),
        ("", _RANGES | {"cpu0/cpufreq/cpuinfo_max_freq": "2400000"}, True),
        ("", _RANGES | _CACHE | {"possible": "0", "online": "0"}, False),  # a single CPU is no range to OpenVINO
        ("", _RANGES | _CACHE | {"online": "1,3"}, False),
        ("", _RANGES | {"online": "0,2-3", "cpu2/cache/index0/shared_cpu_list": "2"}, True),
        ("", _RANGES | _CACHE | {"online": "0,2-3"}, False),
        ("", _CACHE, False),
    ],
)
def test_cpus_are_described_by_proc_or_sys(tmp_path: Path, cpuinfo: str, cpus: dict[str, str], described: bool) -> None:
    if cpuinfo:
        _put(tmp_path, "proc/cpuinfo", cpuinfo)
    for name, content in cpus.items():
        _put(tmp_path, f"sys/devices/system/cpu/{name}", content + "\n")
    assert is_described(tmp_path) == described
