"""The command line: thin wrappers around `synthkit.api`; a command's module is imported when it is called.

Exit codes: 0 done, 1 an audit, a reject rate or a budget said no, 2 a bad spec or bad usage, 3 another process
writes this run, 4 an engine is dead, 5 the disk is full, 130 interrupted.
"""

from __future__ import annotations

import errno
import gc
import sys
from importlib import import_module

import click

from synthkit import __version__

COMMANDS = {
    "init": ("start", "Lay out a folder with specs, prompts, toolsets and recipes to edit."),
    "new": ("start", "Begin a new action type: YAML and a prompt, or a Python package."),
    "doctor": ("doctor", "Find what is wrong with this installation, and how to mend it."),
    "actions": ("spec", "List the verbs, or say all about one."),
    "schema": ("spec", "Print the JSON Schema of specs for editors."),
    "check": ("spec", "Say everything that is wrong with a spec; costs nothing."),
    "plan": ("spec", "Show what a run would do: steps, columns, calls, what is reused."),
    "try": ("try_row", "Show one row at one step: prompt, raw reply, parsed value."),
    "run": ("run", "Run a spec, or go on with its run."),
    "retry": ("run", "Ask rejected rows again."),
    "show": ("look", "Look at a run's tables: counts, schema, samples, lengths, accept rates."),
    "rejects": ("look", "Look at what was not kept, and why."),
    "audit": ("look", "Check the ledger and the spec's bounds; exit code 1 if broken."),
    "sweep": ("sweep", "Show what another bar of a judge or filter would keep; asks no model."),
    "diff": ("look", "Compare two runs: definitions, counts, rows."),
    "export": ("corpus", "Write a corpus for a trainer by a recipe, or a table as JSONL or Parquet."),
    "trace": ("corpus", "Say where a document of a corpus came from."),
    "preflight": ("corpus", "Find what would waste a training run before it starts."),
    "tag": ("keep", "Name the published tables of a run as they are now."),
    "gc": ("keep", "Remove what no tag and no step needs any more."),
}
"""Command -> (module, one line of help): `--help` imports none of the modules."""


class LazyGroup(click.Group):
    """Imports a command's module when it is used, and knows its line of help before that."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        name = COMMANDS[cmd_name][0]
        module = import_module(f"synthkit.cli.{name}")
        if name != "spec":  # all others read rows
            gc.enable()
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the nearest name where there is no such command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="To begin: synthkit init DIR, and in it synthkit run specs/fas_planning.yaml.",
)
@click.version_option(__version__, prog_name="synthkit")
def cli() -> None:
    """Declare agentic training data in YAML; synthesise it on vLLM; keep every row in Lance."""


def main() -> None:
    """Entry point: named errors, and files that cannot be read or written, end with an exit code and no traceback."""
    gc.disable()  # loading and binding leave nothing to collect, and looking for it takes 40 ms of 0.6 s
    from synthkit.core.errors import SynthkitError

    try:
        cli(prog_name="synthkit", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except SynthkitError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(5 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1)
