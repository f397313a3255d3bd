"""What every rank runs: `python -m recipes.nemo.train SETTINGS --corpus FOLDER --library bridge|nemo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from recipes.nemo import corpus as corpora
from recipes.nemo import plan as plans
from recipes.nemo import settings as all_settings
from recipes.nemo.errors import LaunchError


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What the launcher and the ranks are told alike."""
    parser.add_argument("settings", type=Path, help="stage1.yaml, stage2.yaml, sft.yaml, or one of yours")
    parser.add_argument("--corpus", type=Path, required=True, help="folder that `synthkit export` wrote")
    parser.add_argument("--library", choices=get_args(plans.Library), default="bridge")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, for instance launch.nodes=4"
    )
    return parser


def planned(given: argparse.Namespace) -> plans.Plan:
    """The plan of a command line; LaunchError where it would waste the cluster's time."""
    settings = all_settings.load(given.settings, given.set)
    return plans.make(settings, corpora.read(given.corpus, settings.stage, settings.documents), given.library)


def main(argv: Sequence[str] | None = None) -> None:
    """Train until the budget is used; from the last checkpoint where there is one."""
    given = arguments(argparse.ArgumentParser(description=__doc__)).parse_args(argv)
    try:
        train(planned(given), given.library)
    except LaunchError as error:
        sys.exit(str(error))


def train(plan: plans.Plan, library: plans.Library) -> None:
    """By the library's own loop."""
    if library == "nemo":
        import fiddle

        from recipes.nemo import nemo2

        fiddle.build(nemo2.config(plan))()
        return
    from megatron.bridge.training.finetune import finetune
    from megatron.bridge.training.gpt_step import forward_step
    from megatron.bridge.training.pretrain import pretrain

    from recipes.nemo import bridge

    (finetune if plan.settings.stage == "sft" else pretrain)(bridge.config(plan), forward_step)


if __name__ == "__main__":
    main()
