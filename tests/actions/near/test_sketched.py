"""Sketches in Lance: kept across runs and kills, and read from the runs they were made in."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import lance
import numpy as np
import pyarrow as pa
import pytest
from datasketch import LeanMinHash, MinHash

from synthkit.actions.near.sketched import Sketched
from synthkit.actions.near.sketcher import Shingling
from synthkit.core.errors import StoreError

from .twin import hashed, shingles

SHINGLING = Shingling(2)
BANDS = (16, 8)

SKETCH = """
import sys
from pathlib import Path
from tests.actions.near import test_sketched as here
here.fill(Path(sys.argv[1]), here.texts(30_000))
print("done")
"""


def texts(count: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(f"w{rng.randrange(500)}" for _ in range(40)) for _ in range(count)]


def fill(folder: Path, given: list[str], beside: tuple[Path, ...] = ()) -> tuple[np.ndarray, int]:
    """Rows of the texts, and how many were sketched."""
    with Sketched(folder, SHINGLING, BANDS, beside) as sketched:
        every = pa.array(given, pa.large_string())
        rows = [sketched.add(every.slice(at, 1000)) for at in range(0, len(every), 1000)]
        sketched.finish()
        return np.concatenate(rows), sketched.added


def table(folder: Path) -> Path:
    return next(folder.glob("*.lance"))


def test_shingles_come_back_as_they_were_made(tmp_path: Path) -> None:
    given = texts(2500)
    fill(tmp_path / "a", given[:1500])
    with Sketched(tmp_path / "b", SHINGLING, BANDS, (tmp_path / "a", tmp_path / "none")) as sketched:
        rows = sketched.add(pa.array([*given[1000:], *given[1200:1300]], pa.large_string()))
        sketched.finish()
        assert sketched.added == 1000
        assert (rows[:1500] == np.arange(1000, 2500)).all() and (rows[1500:] == np.arange(1200, 1300)).all()
        wanted = np.array([3, 700, 1499, 1500, 2499])
        flat, bounds = sketched.shingles(wanted)
        found = [flat[a:b].tolist() for a, b in pairwise(bounds)]
        assert found == [hashed(given[row], SHINGLING) for row in wanted]
        assert sketched.column("size").tolist() == [len(hashed(text, SHINGLING)) for text in given]
        assert len(sketched.content()) == len(sketched.column("band_15")) == 2500
    stored = lance.dataset(str(table(tmp_path / "b"))).to_table(columns=["signature"]).column("signature").to_pylist()
    assert len(stored) == 1000
    for signature, text in zip(stored[:20], given[1500:1520], strict=True):
        theirs = MinHash(128, hashfunc=crc32)
        theirs.update_batch(shingles(text, SHINGLING))
        ours = LeanMinHash(seed=1, hashvalues=np.array(signature, dtype=np.uint32), scheme="affine32")
        assert ours == LeanMinHash(theirs)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [6])
def test_a_kill_loses_time_and_nothing_else(tmp_path: Path, kills: int) -> None:
    given = texts(30_000)
    whole, _ = fill(tmp_path / "whole", given)
    command = [sys.executable, "-c", SKETCH, str(tmp_path / "killed")]
    rng, began, counts = random.Random(5), time.monotonic(), []
    while len(counts) < kills and time.monotonic() - began < 60:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(1.0, 3.0))
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        there = list((tmp_path / "killed").glob("*.lance/_versions/*.manifest"))
        counts.append(lance.dataset(str(table(tmp_path / "killed"))).count_rows() if there else 0)
    assert counts == sorted(counts), "nothing that was there is lost"
    rows, added = fill(tmp_path / "killed", given)
    assert added == len(given) - (counts[-1] if counts else 0) or added == 0
    assert (rows == whole).all()
    one, other = (lance.dataset(str(table(tmp_path / name))).to_table() for name in ("whole", "killed"))
    assert one.equals(other)


def test_a_table_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    fill(tmp_path, texts(5))
    for manifest in (table(tmp_path) / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"broken")
    with pytest.raises(StoreError, match="remove that folder: its texts are sketched again"):
        fill(tmp_path, texts(5))


def test_a_table_whose_creation_was_killed_is_made_anew(tmp_path: Path) -> None:
    given = texts(20)
    fill(tmp_path / "whole", given)
    name = table(tmp_path / "whole").name
    for folder in ("beside", "own"):
        (tmp_path / folder / name / "_versions").mkdir(parents=True)
    rows, added = fill(tmp_path / "own", given, (tmp_path / "beside",))
    assert rows.tolist() == list(range(20)) and added == 20


def test_a_table_of_which_a_file_is_cut_is_named(tmp_path: Path) -> None:
    fill(tmp_path, texts(20))
    for file in (table(tmp_path) / "data").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(StoreError, match="remove that folder: its texts are sketched again"):
        fill(tmp_path, texts(20))


MERGE = """
import sys
from pathlib import Path
from tests.actions.near import test_sketched as here
here.fill(Path(sys.argv[1]), here.texts(64 * 40, seed=9)[: int(sys.argv[2])])
"""


def test_fragments_of_small_runs_are_merged_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    given = texts(64 * 40, seed=9)
    fill(tmp_path / "whole", given)
    for end in range(40, len(given) + 1, 40):
        fill(tmp_path / "grown", given[:end])
        if end == 20 * 40:
            older = lance.dataset(str(table(tmp_path / "grown")))
    grown = lance.dataset(str(table(tmp_path / "grown")))
    assert len(grown.get_fragments()) <= 33, "of 64 runs"
    assert grown.to_table().equals(lance.dataset(str(table(tmp_path / "whole"))).to_table())
    assert older.to_table().equals(grown.to_table().slice(0, 20 * 40)), "who reads an older version still can"
    rows, added = fill(tmp_path / "grown", given)
    assert rows.tolist() == list(range(len(given))) and added == 0


@pytest.mark.slow
def test_a_kill_while_fragments_are_merged_loses_nothing(tmp_path: Path) -> None:
    """Killed at every stage: in the last append, in merging, after it."""
    given = texts(64 * 40, seed=9)
    fill(tmp_path / "whole", given)
    rng = random.Random(2)
    for end in range(40, 31 * 40 + 1, 40):
        fill(tmp_path / "grown", given[:end])
    stages = set()
    for _ in range(8):
        command = [sys.executable, "-c", MERGE, str(tmp_path / "grown"), str(32 * 40)]
        process = subprocess.Popen(command)
        log = tmp_path / "grown" / table(tmp_path / "grown").name / "data"
        before = len(list(log.iterdir()))
        while process.poll() is None and len(list(log.iterdir())) < before + rng.choice([1, 2]):
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stages.add(lance.dataset(str(table(tmp_path / "grown"))).version)
    rows, _ = fill(tmp_path / "grown", given)
    assert rows.tolist() == list(range(len(given)))
    one, other = (lance.dataset(str(table(tmp_path / name))).to_table() for name in ("whole", "grown"))
    assert one.equals(other) and stages
