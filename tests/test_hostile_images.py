"""Hostile image files, each in a process of its own that is watched: verdict, memory, and that it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile_images import HOSTILE, MIB

_CHILD = """
import json, resource, sys
import shitu_edge.stages.decode as module
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
if sys.argv[2] == "pillow":
    module.opencv = lambda: None
module.opencv()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    image = module.decode(sys.argv[1])
    verdict = [image.width, image.height]
except module.ImageError as error:
    verdict = str(error)
print(json.dumps([verdict, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10]))
"""
_HANGS_AFTER_S = 30
"""On any machine; the slowest takes two seconds of a slow one."""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux counts it")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_images_are_refused_or_read_within_bounds(tmp_path: Path, name: str) -> None:
    hostile = HOSTILE[name]
    path = tmp_path / "image"
    path.write_bytes(hostile.make())
    reaches_a_decoder = hostile.verdict == "truncated" or not isinstance(hostile.verdict, str)
    decoders = ["opencv", "pillow"] if name.startswith("JPEG") and reaches_a_decoder else ["opencv"]
    for decoder in decoders:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, path, decoder],
            check=False,
            capture_output=True,
            text=True,
            timeout=_HANGS_AFTER_S,
        )
        assert done.returncode == 0, done.stderr
        verdict, peak = json.loads(done.stdout)
        if isinstance(hostile.verdict, str):
            assert re.search(hostile.verdict, verdict)
            assert "\n" not in verdict
            pixels = 0
        else:
            assert tuple(verdict) == hostile.verdict
            pixels = verdict[0] * verdict[1]
        per_pixel = 16 if name.startswith("WebP") else 8
        assert peak <= per_pixel * pixels + 4 * path.stat().st_size + 128 * MIB, f"{peak / MIB:.0f} MiB"
    path.unlink()
