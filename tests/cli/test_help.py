"""The command line's surface, as text, and what it costs to show it."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from synthkit.cli import COMMANDS
from tests.cli.conftest import SMALL, call
from tests.conftest import Golden

GOLDEN = Path(__file__).parent / "golden"
HEAVY = (
    "polars",
    "pyarrow",
    "lance",
    "numpy",
    "numba",
    "torch",
    "vllm",
    "ray",
    "datasketch",
    "tokenizers",
    "aiohttp",
    "rich",
)


def test_help_is_as_reviewed(golden: Golden) -> None:
    pages = [call("--help").out, *(call(name, "--help").out for name in COMMANDS)]
    golden("\n".join(pages), GOLDEN / "help.txt")


def test_the_line_in_the_list_says_what_the_command_says() -> None:
    for name, (_, line) in COMMANDS.items():
        assert line.endswith("."), name
        assert call(name, "--help").code == 0


@pytest.mark.parametrize(
    "code",
    [
        "import synthkit",
        "from synthkit.cli import main; main()",
        "sys.argv.append('--help'); from synthkit.cli import main; main()",
        "sys.argv += ['check', 'small.yaml']; from synthkit.cli import main; main()",
        "sys.argv += ['plan', 'small.yaml']; from synthkit.cli import main; main()",
    ],
)
def test_nothing_heavy_is_imported_before_a_run(code: str) -> None:
    wrapped = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", wrapped], cwd=SMALL, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_bad_spec_is_answered_in_under_a_second(tmp_path: Path) -> None:
    """In processor time, the best of three: the machine may be busy with other work."""
    (tmp_path / "bad.yaml").write_text((SMALL / "small.yaml").read_text().replace("mood ==", "modo =="))
    best = 9.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "synthkit", "run", str(tmp_path / "bad.yaml"), "--path", str(SMALL)],
            cwd=SMALL, capture_output=True, text=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert "modo" in done.stderr
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert best < 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_who_calls_commands_in_a_process_of_their_own_keeps_their_collector() -> None:
    from click.testing import CliRunner

    from synthkit.cli import cli

    gc.enable()
    CliRunner().invoke(cli, ["check", str(SMALL / "small.yaml")])
    assert gc.isenabled()
