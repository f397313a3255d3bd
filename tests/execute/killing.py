"""Kills runs at random moments and compares what is left with an uninterrupted run: used by the test and by the script.

Run as `python -m tests.execute.killing --kills 50`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.execute.bench import WORDS

HERE = Path(__file__).parent / "kill"
SLOTS = 16
"""Requests that the engine of the spec works on at once."""
TABLES = ("documents", "claims", "long_enough", "distinct", "grouped", "questions", "judged", "text")


@dataclass(frozen=True)
class Killed:
    kills: int
    """Runs ended by SIGKILL before their work was done."""
    twice: int
    """Completions answered that the journal does not hold: lost between the engine's answer and the journal."""
    doubled: int
    """Completions that the journal holds twice: asked again although finished."""
    differences: list[str]
    """Tables that differ from the uninterrupted run's."""


def make_documents(path: Path, count: int) -> None:
    rng = random.Random(5)
    words = WORDS
    with path.open("w") as file:
        for number in range(count):
            text = " ".join(rng.choice(words) for _ in range(30))
            file.write(json.dumps({"id": f"d{number}", "title": f"Place {number}", "body": text}) + "\n")


def command(folder: Path, out: Path, log: Path) -> list[str]:
    return [
        sys.executable, "-m", "synthkit", "run", str(folder / "spec.yaml"), "--out", str(out), "--quiet",
        "--set", f"vars.log={log}", "--set", f"vars.documents={folder / 'documents.jsonl'}",
    ]  # fmt: skip


def finish(folder: Path, out: Path, log: Path) -> None:
    done = subprocess.run(command(folder, out, log), capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"run ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def kill_once(folder: Path, out: Path, log: Path, seconds: float) -> bool:
    """Whether the run was still at work when it was killed."""
    process = subprocess.Popen(
        command(folder, out, log), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def tables(out: Path) -> dict[str, list[str]]:
    """Every table's rows as sorted JSON lines."""
    import synthkit

    run = synthkit.open(out)
    found = {}
    for name in TABLES:
        frame = run.store.scan(name).collect().sort("_id")
        found[name] = sorted(json.dumps(row, sort_keys=True, default=str) for row in frame.to_dicts())
    for name in ("questions", "topics"):
        frame = run.store.published(name).collect()
        found[f"published/{name}"] = sorted(json.dumps(row, sort_keys=True, default=str) for row in frame.to_dicts())
    rejects = run.rejects.select("step", "row", "sample", "key", "outcome", "reason").collect()
    found["rejects"] = sorted(json.dumps(row, sort_keys=True, default=str) for row in rejects.to_dicts())
    return found


def kill_runs(kills: int, *, documents: int, seed: int, most: float) -> Killed:
    """Kill a run `kills` times at random moments, each time going on; then let it finish and compare."""
    from synthkit.testing.scripted import read_log

    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "spec"
        shutil.copytree(HERE, folder)
        make_documents(folder / "documents.jsonl", documents)
        whole, broken = Path(root) / "whole" / "kill", Path(root) / "broken" / "kill"
        finish(folder, whole, Path(root) / "whole.log")
        log = Path(root) / "broken.log"
        killed = 0
        for _ in range(kills):
            killed += kill_once(folder, broken, log, rng.uniform(0.6, most))
        finish(folder, broken, log)
        expected, found = tables(whole), tables(broken)
        differences = [name for name in expected if expected[name] != found[name]]
        answered = sum(read_log(log).values())
        doubled, recorded = journal(broken)
        return Killed(killed, answered - recorded, doubled, differences)


def journal(out: Path) -> tuple[int, int]:
    """Records of one (call, first sample) beyond the first, and records."""
    import synthkit

    key = ["row", "step", "call", "attempt", "request", "first"]
    records = synthkit.open(out).store.completions().select(key).collect()
    return records.height - records.unique().height, records.height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=float, default=4.0, help="latest kill, in seconds after the start")
    given = parser.parse_args()
    began = time.monotonic()
    result = kill_runs(given.kills, documents=given.documents, seed=given.seed, most=given.most)
    print(f"{result.kills} kills in {time.monotonic() - began:.0f} s; {result.doubled} finished calls asked twice,")
    print(f"{result.twice} answers lost on their way to the journal (at most {SLOTS} a kill)")
    print("tables equal" if not result.differences else f"tables differ: {', '.join(result.differences)}")
    sys.exit(1 if result.differences or result.doubled or result.twice > SLOTS * result.kills else 0)


if __name__ == "__main__":
    main()
