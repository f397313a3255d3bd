"""Starts a run with NeMo-Run: `python -m recipes.nemo.launch SETTINGS --corpus FOLDER [--dry-run]`.

The plan is made here first, so that what is wrong is said before a node is asked for. Ranks run `recipes.nemo.train`
with the same arguments; what they name (this checkout, corpus, checkpoint, output, settings, base, template) is mounted
where it lies, so a path means the same inside the container.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nemo_run as run

from recipes.nemo.errors import LaunchError
from recipes.nemo.plan import Plan
from recipes.nemo.settings import Slurm
from recipes.nemo.train import arguments, planned

_ROOT = Path(__file__).resolve().parents[2]


def task(plan: Plan, given: argparse.Namespace) -> run.Script:
    """What each rank runs."""
    args = [str(given.settings.resolve()), "--corpus", str(given.corpus.resolve()), "--library", given.library]
    for each in [*given.set, *_absolute(plan)]:
        args += ["--set", each]
    return run.Script(path="recipes.nemo.train", m=True, entrypoint="python", args=args)


def _absolute(plan: Plan) -> list[str]:
    """Paths from the root: a container works in a folder of its own, where a relative one names nothing."""
    settings = plan.settings
    found = [f"checkpoint={plan.checkpoint.resolve()}", f"output={Path(settings.output).resolve()}"]
    if Path(settings.base).is_dir():  # else a name on the hub
        found.append(f"base={Path(settings.base).resolve()}")
    if settings.chat_template:
        found.append(f"chat_template={Path(settings.chat_template).resolve()}")
    return found


def executor(plan: Plan, given: argparse.Namespace) -> run.Executor:
    """Slurm where the settings ask for it, else this machine."""
    launch = plan.settings.launch
    env = {**launch.env, "PYTHONPATH": str(_ROOT)}
    if launch.slurm is None:
        if launch.nodes > 1:
            raise LaunchError(
                f"{launch.nodes} nodes, and no launch.slurm to ask for them", "launch.nodes=1, or launch.slurm"
            )
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # torchrun of this Python, activated or not
        return run.LocalExecutor(launcher="torchrun", ntasks_per_node=launch.gpus, env_vars=env)
    return _slurm(plan, launch.slurm, env, mounted(plan, given))


def mounted(plan: Plan, given: argparse.Namespace) -> list[Path]:
    """Every folder that a rank reads or writes; those of settings, base and template where no other one holds them."""
    settings = plan.settings
    found = [each.resolve() for each in (_ROOT, given.corpus, plan.checkpoint, Path(settings.output))]
    more = [given.settings.resolve().parent]
    if Path(settings.base).is_dir():
        more.append(Path(settings.base).resolve())
    if settings.chat_template:
        more.append(Path(settings.chat_template).resolve().parent)
    for folder in more:
        if not any(folder.is_relative_to(each) for each in found):
            found.append(folder)
    return found


def _slurm(plan: Plan, slurm: Slurm, env: dict[str, str], folders: Sequence[Path]) -> run.Executor:
    for name in ("account", "partition"):
        if getattr(slurm, name) == name.upper():
            raise LaunchError(f"launch.slurm.{name} is not set", f"--set launch.slurm.{name}=...")
    if slurm.container and slurm.container.endswith(":TAG"):
        raise LaunchError(
            "launch.slurm.container names no tag", "--set launch.slurm.container=... ; docs/nemo.md has the versions"
        )
    launch = plan.settings.launch
    return run.SlurmExecutor(
        account=slurm.account,
        partition=slurm.partition,
        time=slurm.time,
        nodes=launch.nodes,
        ntasks_per_node=launch.gpus,
        gpus_per_node=launch.gpus,
        exclusive=True,
        container_image=slurm.container,
        container_mounts=[*(f"{each}:{each}" for each in folders), *slurm.mounts],
        env_vars=env,
        launcher="torchrun",
        tunnel=run.LocalTunnel(job_dir=str(Path(plan.settings.output).resolve() / "jobs")),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Start, or show what would be started; exit code 1 where it would waste the cluster's time."""
    parser = arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--dry-run", action="store_true", help="print the job's script and ask for nothing")
    given = parser.parse_args(argv)
    try:
        plan = planned(given)
        ranks = executor(plan, given)
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 1
    step = plan.global_batch * plan.sequence
    print(
        f"{plan.settings.name}: {plan.iterations:,} iterations of {plan.global_batch} x {plan.sequence:,} = "
        f"{plan.iterations * step:,} tokens"
    )
    with run.Experiment(plan.settings.name) as made:
        made.add(task(plan, given), executor=ranks, name=plan.settings.name)
        if given.dry_run:
            made.dryrun()
            return 0
        Path(plan.settings.output).mkdir(parents=True, exist_ok=True)  # a mount must be there
        made.run(detach=plan.settings.launch.slurm is not None)
        states = made.status(return_dict=True) or {}
    return int(any(str(each["status"]) == "FAILED" for each in states.values()))


if __name__ == "__main__":
    sys.exit(main())
