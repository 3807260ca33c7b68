"""Ways to run six crops: batches against streams, on both engines.

    python -m benchmarks.extract [--models build/ppshitu/ppshitu-v2-seeded] [--crops 6]

`streams` runs single crops in parallel on one thread each; `batch` runs all crops at once, `one by one` each alone, on
all threads.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.measure import describe_machine, interleave, print_times
from shitu_edge import Bundle
from shitu_edge.bundle.networks import open_network
from shitu_edge.engines import EngineName, Resources
from shitu_edge.system.cpu import read_cpu

ENGINES: tuple[EngineName, ...] = ("openvino", "onnxruntime")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="build/ppshitu/ppshitu-v2-seeded")
    parser.add_argument("--crops", type=int, default=6)
    args = parser.parse_args()
    bundle = Bundle.open(args.models)
    threads = read_cpu().threads
    tasks: dict[str, Callable[[], object]] = {}
    for engine in ENGINES:
        tasks[f"{engine}, one by one"] = _task(bundle, engine, Resources(threads), 1, args.crops)
        tasks[f"{engine}, {threads} streams"] = _task(bundle, engine, Resources(threads, threads), 1, args.crops)
        tasks[f"{engine}, batch of {args.crops}"] = _task(bundle, engine, Resources(threads), args.crops, args.crops)
    print(describe_machine())
    print(f"{bundle.manifest.extractor.network.name}, {args.crops} crops")
    print_times(interleave(tasks, rounds=40))


def _task(bundle: Bundle, engine: EngineName, resources: Resources, batch: int, crops: int) -> Callable[[], object]:
    network = bundle.manifest.extractor.network
    session = open_network(bundle, network, engine, None, resources, batch)
    tensor = np.random.default_rng(0).standard_normal(network.input.shape(batch), np.float32)
    workers = ThreadPoolExecutor(resources.streams)
    return lambda: list(workers.map(lambda _: session.run({network.input.name: tensor}), range(crops // batch)))


if __name__ == "__main__":
    main()
