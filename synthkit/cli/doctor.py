"""`doctor`."""

from __future__ import annotations

import sys

import click


@click.command("doctor")
def doctor_command() -> None:
    """Find what is wrong with this installation and what it lacks, and print the commands that mend it.

    Exit code 1 if anything is wrong; an engine that is not installed is not.
    """
    from synthkit.inspect.installation import examine

    findings = examine()
    for finding in findings:
        mark = "BAD" if not finding.good else "-" if finding.purpose else "ok"
        click.echo(f"{mark:<4} {finding.what}")
    for purpose in dict.fromkeys(finding.purpose for finding in findings if finding.commands):
        click.echo(f"\nfor {purpose}:" if purpose else "\nto mend it:")
        meant = [finding for finding in findings if finding.purpose == purpose]
        for command in dict.fromkeys(command for finding in meant for command in finding.commands):
            click.echo(f"  {command}")
    if not all(finding.good for finding in findings):
        sys.exit(1)
