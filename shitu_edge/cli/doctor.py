"""`shitu-edge doctor`: the machine, its engines, and advice on problems."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..bench.environment import read_versions
from ..engines import ENGINES
from ..engines.cache import CACHE_VARIABLE, user_cache
from ..gallery import GRAPH_FROM
from ..system.cpu import Cpu, read_cpu
from .calibration_state import CalibrationFacts, calibration_of, opened_layers
from .command import GALLERY_VARIABLE
from .options import AsJson, LocalLayer, Models, expect_gallery
from .printing import print_line
from .selftest import SUBJECTS, SelfTest, run_selftest
from .tables import print_facts, print_json


def doctor(
    gallery: Annotated[
        Path | None,
        typer.Option(
            "--gallery",
            envvar=GALLERY_VARIABLE,
            metavar="GALLERY",
            callback=lambda path: path and expect_gallery(path),
            help="Gallery whose calibration is checked as well.",
            show_default=False,
        ),
    ] = None,
    local: LocalLayer = None,
    models: Models = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine and its engines.

    Shows CPU, versions, threads and cache, runs a self-test of each engine, and advises on problems. Exits with 1 if no
    engine works on this machine.

    Example: shitu-edge doctor --gallery shop.gallery
    """
    if local is not None and gallery is None:
        raise typer.BadParameter("--local needs --gallery, which it lies on")
    cpu, cache, versions = read_cpu(), user_cache(), read_versions()
    tests = [run_selftest(subject) for subject in SUBJECTS]
    works = any(test.problem is None for test in tests if test.subject in ENGINES)
    advice = _advice(tests, cache)
    calibrated = None if gallery is None else _calibration(gallery, local, models)
    if calibrated is not None:
        advice += [f"{gallery}: {line}" for line in calibrated.advice()]
    if as_json:
        print_json(
            {
                "works": works,
                "python": platform.python_version(),
                "system": platform.platform(),
                "versions": versions,
                "cpu": asdict(cpu),
                "threads": cpu.threads,
                "model_cache": cache,
                "selftests": {test.subject: {"ms": test.milliseconds, "problem": test.problem} for test in tests},
                **({} if calibrated is None else {"calibration": calibrated.record()}),
                "problems": advice,
            }
        )
    else:
        _print(cpu, cache, versions, tests, {} if calibrated is None else calibrated.facts(), advice)
    if not works:
        raise typer.Exit(1)


def _calibration(gallery: Path, local: Path | None, models: str | None) -> CalibrationFacts:
    with opened_layers(gallery, local) as layers:
        return calibration_of(layers, models)


def _print(
    cpu: Cpu,
    cache: Path | None,
    versions: dict[str, str],
    tests: list[SelfTest],
    calibrated: dict[str, object],
    advice: list[str],
) -> None:
    print_facts(
        {
            "shitu-edge": versions["shitu-edge"],
            "Python": f"{platform.python_version()} on {platform.platform()}",
            **{name: version for name, version in versions.items() if name != "shitu-edge"},
            "CPU": cpu.model,
            "features": ", ".join(cpu.features) or "unknown",
            "CPUs": _describe_cpus(cpu),
            "threads": cpu.threads,
            "model cache": cache or f"off ({_why_off()})",
            **{f"self-test {test.subject}": _describe(test) for test in tests},
            **calibrated,
        }
    )
    print_line()
    for line in advice:
        print_line(f"- {line}")
    if not advice:
        print_line("No problems found.")


def _describe_cpus(cpu: Cpu) -> str:
    quota = "no quota" if cpu.quota_cpus is None else f"quota {cpu.quota_cpus:g}"
    return f"{cpu.allowed_cpus} allowed of {os.cpu_count()}, {cpu.physical_cores} physical cores, {quota}"


def _describe(test: SelfTest) -> str:
    return f"passed in {test.milliseconds:.0f} ms" if test.milliseconds is not None else f"FAILED: {test.problem}"


def _why_off() -> str:
    return f"${CACHE_VARIABLE} is empty" if CACHE_VARIABLE in os.environ else "no home folder"


def _advice(tests: list[SelfTest], cache: Path | None) -> list[str]:
    """Return each problem with what to do about it."""
    lines = [f"{test.subject} does not work: {test.problem}" for test in tests if test.problem]
    failed = {test.subject for test in tests if test.problem}
    if failed >= set(ENGINES):
        lines.append("no engine works: run `pip install openvino`, or `pip install onnxruntime`")
    if "hnswlib" in failed:
        lines.append(
            f"galleries of {GRAPH_FROM} items or more need hnswlib: "
            "run `HNSWLIB_NO_NATIVE=1 pip install --no-cache-dir hnswlib`"
        )
    wanted = cache or CACHE_VARIABLE not in os.environ
    if wanted and not (cache and _writable(cache)):
        reason = f"{cache} is not writable" if cache else f"there is {_why_off()}"
        lines.append(f"models are compiled at every start, because {reason}: set ${CACHE_VARIABLE} to a folder")
    return lines


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
