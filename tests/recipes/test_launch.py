"""The launcher: the Slurm script that NeMo-Run would hand in, as a golden file, and what it refuses before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nemo_run", reason="nemo-run is not installed: `make test-recipes`")

from recipes.nemo import launch
from tests.conftest import Golden
from tests.recipes.conftest import NANO, ROOT, STAGES

SLURM = ["launch.slurm.account=acme", "launch.slurm.partition=h100", "launch.slurm.container=nvcr.io/nvidia/nemo:25.11"]
LOCAL = [
    "launch.slurm=null",
    "launch.nodes=1",
    "parallel.tensor=2",
    "parallel.pipeline=1",
    "parallel.context=1",
    "parallel.expert=2",
]


def started(exported: Path, checkpoint: Path, folder: Path, *sets: str) -> subprocess.CompletedProcess[str]:
    """The command as it is typed, with --dry-run; NeMo-Run's tunnel reads the standard input."""
    given = [f"base={NANO}", f"checkpoint={checkpoint}", f"output={folder / 'train'}", "schedule.warmup=2", *sets]
    flags = [text for each in given for text in ("--set", each)]
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "recipes.nemo.launch",
            STAGES / "stage1.yaml",
            "--corpus",
            exported,
            *flags,
            "--dry-run",
        ],
        env={**os.environ, "NEMORUN_HOME": str(folder / "home"), "COLUMNS": "6000"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_slurm_script(exported: Path, checkpoint: Path, tmp_path: Path, golden: Golden) -> None:
    done = started(exported, checkpoint, tmp_path, "launch.nodes=4", *SLURM)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for path, name in ((exported, "CORPUS"), (checkpoint, "CHECKPOINT"), (tmp_path, "FOLDER"), (ROOT, "CHECKOUT")):
        text = text.replace(str(path), name)
    script = text[text.index("#!/bin/bash") :]
    script = re.sub(r"agentic_cpt_stage1_\d{10,}", "agentic_cpt_stage1_ID", script)
    script = re.sub(r"--rdzv-id \d+", "--rdzv-id ID", script)
    lines = [re.sub(r"\s+launcher\.py:\d+$", "", line.rstrip()).strip() for line in script.splitlines()]
    golden("\n".join(lines).strip(), Path(__file__).parent / "golden" / "slurm.txt")


def test_on_this_machine(exported: Path, checkpoint: Path, tmp_path: Path) -> None:
    done = started(exported, checkpoint, tmp_path, *LOCAL)
    assert done.returncode == 0, done.stderr
    assert "20 iterations of 4 x 512 = 40,960 tokens" in done.stdout
    assert "--nproc-per-node" in done.stdout
    assert "recipes.nemo.train" in done.stdout


def test_what_lies_outside_of_the_checkout_is_mounted(exported: Path, checkpoint: Path, tmp_path: Path) -> None:
    base = tmp_path / "model"
    shutil.copytree(NANO, base)
    done = started(exported, checkpoint, tmp_path, "launch.nodes=4", f"base={base}", *SLURM)
    assert done.returncode == 0 and f"{base}:{base}" in done.stdout, done.stderr
    assert f"{STAGES}:{STAGES}" not in done.stdout, "the checkout holds it"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["launch.nodes=4"], "launch.slurm.account is not set"),
        (["launch.nodes=4", *SLURM[:2]], "launch.slurm.container names no tag"),
        (["launch.nodes=4", "launch.slurm=null"], "4 nodes, and no launch.slurm to ask for them"),
        (["launch.nodes=4", "parallel.context=3"], "2 x 3 context ranks"),
    ],
)
def test_what_is_refused_before_a_node_is_asked_for(
    exported: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sets: list[str], said: str
) -> None:
    given = [f"base={NANO}", f"checkpoint={checkpoint}", f"output={tmp_path / 'train'}", "schedule.warmup=2", *sets]
    flags = [text for each in given for text in ("--set", each)]
    assert launch.main([str(STAGES / "stage1.yaml"), "--corpus", str(exported), *flags]) == 1
    assert said in capsys.readouterr().err
