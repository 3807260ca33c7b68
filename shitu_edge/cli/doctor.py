"""`shitu-edge doctor`: what this machine offers, what is wrong, and what to do."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

import typer

from ..bench.environment import read_versions
from ..engines import ENGINES
from ..engines.cache import CACHE_VARIABLE, user_cache
from ..gallery import GRAPH_FROM
from ..selftest import SUBJECTS, SelfTest, run_selftest
from ..system.cpu import Cpu, read_cpu
from .options import AsJson
from .printing import print_line
from .tables import print_facts, print_json


def doctor(as_json: AsJson = False) -> None:
    """Examine CPU, engines, versions, threads and cache, and run a self-test of each engine.

    Exits with 1 when no engine works here.

    Example: shitu-edge doctor
    """
    cpu = read_cpu()
    cache, versions = user_cache(), read_versions()
    tests = [run_selftest(subject) for subject in SUBJECTS]
    facts: dict[str, object] = {
        "shitu-edge": versions.pop("shitu-edge"),
        "Python": f"{platform.python_version()} on {platform.platform()}",
        **versions,
        "CPU": cpu.model,
        "features": ", ".join(cpu.features) or "unknown",
        "CPUs": _describe_cpus(cpu),
        "threads": cpu.threads,
        "model cache": cache or f"off ({_why_off()})",
        **{f"self-test {test.subject}": _describe(test) for test in tests},
    }
    works = {test.subject for test in tests if test.problem is None}
    failing = not works.intersection(ENGINES)
    advice = _advice(tests, cache)
    if as_json:
        print_json({**facts, "problems": advice, "works": not failing})
    else:
        print_facts(facts)
        print_line()
        for line in advice:
            print_line(f"- {line}")
        if not advice:
            print_line("All is well.")
    if failing:
        raise typer.Exit(1)


def _describe_cpus(cpu: Cpu) -> str:
    quota = "no quota" if cpu.quota_cpus is None else f"quota {cpu.quota_cpus:g}"
    return f"{cpu.allowed_cpus} allowed of {os.cpu_count()}, {cpu.physical_cores} physical cores, {quota}"


def _describe(test: SelfTest) -> str:
    return f"passed in {test.milliseconds:.0f} ms" if test.milliseconds is not None else f"FAILED: {test.problem}"


def _why_off() -> str:
    return f"${CACHE_VARIABLE} is empty" if CACHE_VARIABLE in os.environ else "there is no home folder"


def _advice(tests: list[SelfTest], cache: Path | None) -> list[str]:
    """Say what to do about each problem."""
    lines = [f"{test.subject} does not work: {test.problem}" for test in tests if test.problem]
    failed = {test.subject for test in tests if test.problem}
    if failed >= set(ENGINES):
        lines.append("no engine works: pip install openvino, or onnxruntime")
    if "hnswlib" in failed:
        lines.append(
            f"galleries from {GRAPH_FROM} items on need hnswlib: HNSWLIB_NO_NATIVE=1 pip install --no-cache-dir hnswlib"
        )
    wanted = cache or CACHE_VARIABLE not in os.environ
    if wanted and not (cache and _writable(cache)):
        reason = f"{cache} cannot be written" if cache else _why_off()
        lines.append(f"models are compiled anew at each start: {reason}; set ${CACHE_VARIABLE}")
    return lines


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
