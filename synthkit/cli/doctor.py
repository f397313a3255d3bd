"""`doctor`."""

from __future__ import annotations

import sys

import click


@click.command("doctor")
def doctor_command() -> None:
    """Find what is wrong with this installation, and print the commands that mend it; exit code 1 if anything is."""
    from synthkit.inspect.installation import examine

    findings = examine()
    for finding in findings:
        click.echo(f"{'ok  ' if finding.good else 'BAD '} {finding.what}")
    bad = [finding for finding in findings if not finding.good]
    if bad:
        click.echo("\nrun:")
        for command in dict.fromkeys(command for finding in bad for command in finding.commands):
            click.echo(f"  {command}")
        sys.exit(1)
