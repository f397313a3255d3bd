"""What a run says at its end, and what a wrong SPEC is answered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from synthkit.api import RunResult
from synthkit.cli.options import program
from synthkit.cli.summary import report
from synthkit.core.store import StepCounts
from synthkit.engines.vllm_config import VllmConfig
from synthkit.execute.control import Stopped
from synthkit.testing.scripted import ScriptedConfig
from tests.cli.conftest import Done, Edit, call

NOTHING = StepCounts()


def test_the_first_rows_by_id_are_shown(finished: tuple[Path, Done]) -> None:
    folder, done = finished
    rows = call("show", str(folder / "runs/small"), "titles").out
    ids = [line.removeprefix("_id: ") for line in rows.splitlines() if line.startswith("_id: ")]
    shown = done.out[done.out.index("first rows of titles") :]
    assert [line[:12] for line in shown.splitlines()[1:] if line.strip() and line[0].isalnum()][:3] == [
        each[:12] for each in ids
    ]
    assert max(map(len, done.out.splitlines())) <= 100, "COLUMNS is 100"


def test_quiet_shows_no_rows(project: Path) -> None:
    done = call("run", "small.yaml", "--quiet")
    assert done.code == 0 and "8 rows  runs/small/published/titles.lance" in done.out
    assert "first rows" not in done.out and "look at them:  synthkit show runs/small" in done.out


def test_where_nothing_is_kept_the_step_that_lost_it_is_named(project: Path, edit: Edit) -> None:
    edit("mood == 'glad'", "mood == 'livid'")
    done = call("run", "small.yaml")
    assert done.code == 0
    assert "0 rows  runs/small/published/titles.lance" in done.out and "first rows" not in done.out
    assert "'glad' kept none of its 10 rows. See why:\n  synthkit rejects runs/small --step glad\n" in done.out
    assert call("show", "runs/small").code == 0, "empty tables are shown, too"


def test_a_rehearsal_says_so_in_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = RunResult(tmp_path / "run", {}, {"docs": NOTHING})
    report(result, [ScriptedConfig(), VllmConfig(vllm="nano")], rows=True)
    last = " ".join(capsys.readouterr().out.split("\n\n")[-1].split())
    assert last == (
        "nano is a rehearsal model, there to try the machinery; for rows to train on, plug in a real teacher: "
        "--models FILE, for instance specs/models_server.yaml."
    )
    report(result, [ScriptedConfig(), VllmConfig(vllm="some/teacher")], rows=True)
    assert "nano" not in capsys.readouterr().out


def test_pending_rows_are_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    below = RunResult(tmp_path / "below", {}, {"docs": StepCounts(input=2, kept=1, pending=1, output=1)})
    report(RunResult(tmp_path / "run", {}, {}, reads=[below]), [], rows=True)
    assert "1 row is pending: run again to ask for what is missing" in capsys.readouterr().out


def test_a_run_that_stopped_before_it_began_shows_no_empty_ledger(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    below = RunResult(tmp_path / "below", {}, {"docs": StepCounts(input=2, kept=2, output=2), "claims": NOTHING})
    stopped = Stopped("engine 'nano' did not start: vLLM is not installed", 4)
    with pytest.raises(SystemExit) as end:
        report(RunResult(tmp_path / "run", {}, {"memory": NOTHING}, stopped=stopped, reads=[below]), [], rows=True)
    said = capsys.readouterr()
    assert end.value.code == 4
    assert str(tmp_path / "below") in said.out and str(tmp_path / "run") not in said.out
    assert said.err == "\nstopped: engine 'nano' did not start: vLLM is not installed\n"


def test_commands_are_printed_as_they_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "bin" / "synthkit"
    script.parent.mkdir()
    script.touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(script), "run"])
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "synthkit"
    other = tmp_path / "other" / "synthkit"
    other.parent.mkdir()
    other.touch(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert program() == str(script), "PATH finds another one"
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == str(script)
    monkeypatch.setattr(sys, "argv", ["/x/site-packages/synthkit/__main__.py"])
    assert program() == "python -m synthkit"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "smal.yaml",
            "smal.yaml: there is no such file; files in .: models.yaml, small.yaml; did you mean 'small.yaml'?",
        ),
        ("nowhere/small.yaml", "did you mean 'small.yaml'?"),
        (".", ". is a folder; files in .: models.yaml, small.yaml"),
        ("prompts", "prompts is a folder; prompts holds no spec; `synthkit init DIR` lays out the shipped ones"),
        ("small", "did you mean 'small.yaml'?"),
    ],
)
@pytest.mark.parametrize("command", ["check", "plan", "run"])
def test_a_spec_that_is_not_there_is_answered_with_what_is(project: Path, command: str, spec: str, said: str) -> None:
    done = call(command, spec)
    assert (done.code, done.out) == (2, "")
    assert said in done.err and len(done.err.splitlines()) == 1


def test_retry_looks_for_the_spec_before_it_raises_anything(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ran.parent)
    done = call("retry", "project/runs/small", "--step", "titled")
    assert done.code == 1
    assert done.err.strip().endswith("is not there; call retry from the folder of that run's call")
    monkeypatch.chdir(ran)
    assert "titled: 1 rejected row to be asked again\n" in call("retry", "runs/small", "--dry-run").out


def test_export_says_how_many_rows_and_leaves_a_readme_alone(ran: Path) -> None:
    Path("README.md").write_text("mine")
    done = call("export", "runs/small", "titled", "--out", ".")
    assert done.out == "titled.jsonl: 10 rows; about them: titled.md\n"
    assert "'titled' is a step of the run, not a table that it publishes" in done.err
    assert call("export", "runs/small", "titles", "--out", ".").err == ""
    assert Path("README.md").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [["export", "runs/small", "titles", "--out", "taken/x"], ["init", "taken/x"], ["new", "note", "--out", "taken/x"],
     ["run", "small.yaml", "--out", "taken/x"]],
)  # fmt: skip
def test_a_place_that_cannot_be_written_is_one_line(ran: Path, arguments: list[str]) -> None:
    Path("taken").write_text("a file, not a folder")
    done = call(*arguments)
    assert done.code == 1 and len(done.err.splitlines()) == 1
    assert "taken" in done.err and "Not a directory" in done.err
