"""Each command's happy path and its main errors, on a small scripted run."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import polars as pl
import pytest
import yaml

import synthkit
from synthkit.core.resources import shipped
from synthkit.store.run import open_run
from tests.cli.conftest import Done, Edit, call
from tests.conftest import Golden

GOLDEN = Path(__file__).parent / "golden"


def test_run_prints_the_ledger_and_where_the_rows_are(finished: tuple[Path, Done], golden: Golden) -> None:
    folder, done = finished
    golden(done.out, GOLDEN / "run.txt")
    assert "glad 10 in, 8 out" in done.err, "plain progress, for standard error is no terminal"
    assert pl.scan_parquet  # polars is what the printed line needs
    line = re.search(r"in Python: +(synthkit\.open\(.+\))", done.out)
    assert line is not None
    rows = eval(line[1].replace("'runs/", f"'{folder}/runs/"), {"synthkit": synthkit})
    assert rows.columns == ["_id", "text", "spans", "tokens", "title", "license"]
    assert rows.height == 8


def test_a_second_run_asks_nothing(ran: Path) -> None:
    before = synthkit.open("runs/small").completions.collect().height
    done = call("run", "small.yaml", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert synthkit.open("runs/small").completions.collect().height == before


def test_run_takes_a_limit_and_a_last_step(project: Path) -> None:
    done = call("run", "small.yaml", "--quiet", "--limit", "2", "--until", "glad", "--out", "runs/first")
    assert done.code == 0
    ledger = synthkit.open("runs/first").ledger()
    assert ledger["notes"].output == 2
    assert list(ledger) == ["notes", "titled", "glad", "judged", "text"] and ledger["judged"].output == 0
    assert "rows  " not in done.out, "nothing is published"


def test_a_budget_ends_the_run_resumably(project: Path) -> None:
    done = call("run", "small.yaml", "--quiet", "--max-requests", "3")
    assert done.code == 1
    assert "stopped: the budget of 3 requests is used up" in done.err
    assert call("run", "small.yaml", "--quiet").code == 0
    assert synthkit.open("runs/small")["titles"].collect().height == 8


def test_the_runs_of_specs_that_are_read_are_shown_too(project: Path) -> None:
    (project / "long.yaml").write_text(
        "name: long\nmodels: models.yaml\nsteps:\n"
        "  titles:\n    read: {spec: small.yaml, table: titles}\n"
        "  long:\n    from: titles\n    filter: {long: 'title | length > 25'}\n"
        "publish: {long: {from: long}}\n"
    )
    done = call("run", "long.yaml", "--quiet")
    assert done.code == 0, done.text
    places = [line for line in done.out.splitlines() if line in ("runs/small", "runs/long")]
    assert places == ["runs/small", "runs/long"]
    assert "6 rows  runs/long/published/long.lance" in done.out
    assert call("retry", "runs/small", "--step", "titled").code == 0, (
        "a run that another one made has its own arguments"
    )


def test_a_second_writer_ends_with_exit_code_3(ran: Path) -> None:
    writer = open_run(Path("runs/small"), write=True)
    try:
        done = call("run", "small.yaml", "--quiet")
    finally:
        asyncio.run(writer.close())
    assert done.code == 3
    assert str(Path("runs/small")) in done.err


def test_a_dead_engine_ends_with_exit_code_4(project: Path) -> None:
    models = yaml.safe_load((project / "models.yaml").read_text())
    models["engines"]["fake"]["faults"] = {"dead": 1}
    (project / "dead.yaml").write_text(yaml.safe_dump(models))
    done = call("run", "small.yaml", "--quiet", "--models", "dead.yaml")
    assert done.code == 4
    assert "stopped: the scripted engine died" in done.err
    done = call("run", "small.yaml", "--quiet")
    assert done.code == 0 and synthkit.open("runs/small")["titles"].collect().height == 8


def test_an_engine_that_cannot_start_says_what_to_do(project: Path) -> None:
    done = call("run", "small.yaml", "--quiet", "--set", "engines.fake.scripted=nowhere:reply")
    assert done.code in (2, 4)
    assert "nowhere:reply" in done.err or "engines" in done.err


@pytest.mark.parametrize("command", ["check", "plan", "run"])
def test_a_bad_spec_ends_with_exit_code_2_and_writes_nothing(project: Path, edit: Edit, command: str) -> None:
    edit("mood == 'glad'", "modo == 'glad'")
    edit("title.j2", "titel.j2")
    before = sorted(project.rglob("*"))
    done = call(command, "small.yaml")
    assert (done.code, done.out) == (2, "")
    assert "small.yaml:12:" in done.err and "did you mean 'title.j2'?" in done.err
    assert sorted(project.rglob("*")) == before


def test_a_spec_that_is_not_there(project: Path) -> None:
    done = call("check", "smal.yaml")
    assert done.code == 2
    assert "smal.yaml" in done.err


def test_check_says_so_where_nothing_is_wrong(project: Path) -> None:
    done = call("check", "small.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out == "small.yaml: 5 steps, 1 published table, nothing wrong\n"
    assert not (project / "runs").exists()


def test_plan(project: Path, golden: Golden) -> None:
    golden(_without_places(call("plan", "small.yaml").out), GOLDEN / "plan.txt")
    assert not (project / "runs").exists()


def _without_places(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("shadowed"))


def test_try_shows_prompt_reply_and_row(ran: Path, golden: Golden) -> None:
    done = call("try", "small.yaml", "titled", "--row", "8d")
    first = call("try", "small.yaml", "titled")
    golden(first.out, GOLDEN / "try.txt")
    assert done.code == 0 or "begins with '8d'" in done.err
    before = synthkit.open("runs/small").completions.collect().height
    assert call("try", "small.yaml", "judged").code == 0
    assert synthkit.open("runs/small").completions.collect().height == before, "it writes nothing"
    assert call("try", "small.yaml", "titled", "--row", "zz").code == 1
    assert call("try", "small.yaml", "tilted").code == 2


def test_try_does_not_show_rows_of_another_definition(ran: Path, edit: Edit) -> None:
    edit("n: 2", "n: 3")
    done = call("try", "small.yaml", "judged")
    assert done.code == 1
    assert "holds rows of another 'titled'" in done.err


def test_show(ran: Path, golden: Golden) -> None:
    golden(re.sub(r"\d\.\d\d \|", "0.00 |", call("show", "runs/small", "--samples", "1").out), GOLDEN / "show.txt")
    one = call("show", "runs/small", "titled", "--samples", "0")
    assert one.code == 0 and one.out.startswith("titled: 10 rows\n")
    row = synthkit.open("runs/small")["titles"].select("_id").collect()["_id"].min()
    assert f"_id: {row}" in call("show", "runs/small", "titles", "--row", str(row)[:12]).out


@pytest.mark.parametrize(
    "arguments",
    [["show", "runs/smal"], ["show", "runs/small", "titel"], ["rejects", "runs/small", "--step", "tilted"],
     ["rejects", "runs/small", "--reason", "not gald"], ["export", "runs/small", "titel", "--out", "x"],
     ["export", "runs/small", "titles", "--out", "x", "--tag", "v9"], ["diff", "runs/small", "runs/smal"],
     ["gc", "runs/smal"], ["tag", "runs/smal", "v1"], ["retry", "runs/smal"], ["audit", "runs/smal"]],
)  # fmt: skip
def test_what_is_not_there_is_one_line_with_what_is(ran: Path, arguments: list[str]) -> None:
    done = call(*arguments)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert not Path("x").exists() and not Path("runs/smal").exists()


def test_rejects_show_what_the_step_read(ran: Path, golden: Golden) -> None:
    golden(call("rejects", "runs/small", "--samples", "20").out, GOLDEN / "rejects.txt")
    filtered = call("rejects", "runs/small", "--step", "glad").out
    assert "mood: sad" in filtered and "titled" not in filtered
    assert "license" not in filtered, "a column that the step did not read"


def test_audit_enforces_the_bounds_of_the_spec(ran: Path, edit: Edit) -> None:
    done = call("audit", "runs/small")
    assert done.code == 0 and done.out.endswith("every row is in one place, and every bound holds\n")
    edit("glad.accepted: 20%..90%", "glad.accepted: 85%..90%")
    assert call("run", "small.yaml", "--quiet").code == 0
    done = call("audit", "runs/small")
    assert done.code == 1
    assert "audit: glad.accepted is 0.8, outside of 0.85..0.9" in done.err


def test_too_many_failed_rows_stop_the_run(project: Path, edit: Edit) -> None:
    lines = [json.dumps({"id": str(n), "note": f"a broken clock, {n}", "license": ""}) for n in range(150)]
    (project / "notes.jsonl").write_text("\n".join(lines))
    done = call("run", "small.yaml", "--quiet")
    assert done.code == 1
    assert "failed at 'titled', more than reject_rate" in done.err and "synthkit rejects" in done.err


def test_retry_asks_rejected_rows_again(ran: Path) -> None:
    dry = call("retry", "runs/small", "--step", "titled", "--dry-run")
    assert (dry.code, dry.out) == (0, "titled: 1 rejected row to be asked again\n")
    text = Path("replies.py").read_text()
    Path("replies.py").write_text(text.replace('if "broken" in note', "if False"))
    done = call("retry", "runs/small", "--step", "titled", "--set", "max_tokens=512")
    assert done.code == 0, done.text
    assert synthkit.open("runs/small")["titles"].collect().height == 10
    assert done.out.startswith("titled: 1 rejected row asked again\n")
    assert "no rejected row is meant" in call("retry", "runs/small", "--where", "reason == 'no such'").out


@pytest.mark.parametrize(
    "arguments", [["--where", "resaon == 'x'"], ["--set", "max_token=3"], ["--where", "reason =="]]
)
def test_retry_refuses_what_it_cannot_mean(ran: Path, arguments: list[str]) -> None:
    assert call("retry", "runs/small", *arguments).code == 2


def test_diff_of_two_runs(ran: Path, edit: Edit) -> None:
    assert call("diff", "runs/small", "runs/small").out == "no differences\n"
    edit("n: 2", "n: 1")
    assert call("run", "small.yaml", "--quiet", "--out", "runs/one").code == 0
    done = call("diff", "runs/small", "runs/one")
    assert "titled: 10 -> 5 rows" in done.out and "parameters.n: 2 -> 1" in done.out


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_export_writes_rows_and_a_card(ran: Path, form: str) -> None:
    assert call("tag", "runs/small", "v1").out == "titles: version 1 is 'v1'\n"
    done = call("export", "runs/small", "titles", "--to", form, "--out", "out", "--tag", "v1")
    assert (done.code, done.out) == (0, f"out/titles.{form}: 8 rows; about them: out/titles.md\n")
    file = Path("out") / f"titles.{form}"
    rows = pl.read_ndjson(file) if form == "jsonl" else pl.read_parquet(file)
    assert rows.height == 8
    card = Path("out/titles.md").read_text()
    assert "CC0-1.0" in card and "tagged `v1`" in card


def test_gc_frees_what_no_tag_and_no_step_needs(ran: Path) -> None:
    told = call("gc", "runs/small", "--dry-run").out
    assert re.fullmatch(r"[\d,]+ bytes could be freed\n", told)
    assert re.fullmatch(r"[\d,]+ bytes were freed\n", call("gc", "runs/small").out)
    assert synthkit.open("runs/small")["titles"].collect().height == 8


def test_actions_and_schema() -> None:
    listed = call("actions").out
    assert "generate" in listed and "plan_action" in listed
    assert "rubric:" in call("actions", "judge").out
    missing = call("actions", "gnerate")
    assert missing.code == 2 and "did you mean 'generate'?" in missing.err
    schema = call("schema").out
    assert schema == (shipped("specs") / "spec.schema.json").read_text(encoding="utf-8")


def test_init_lays_out_a_folder_that_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("init", "mine")
    assert done.code == 0 and "next: cd mine && synthkit plan specs/fas_planning.yaml" in done.out
    monkeypatch.chdir(tmp_path / "mine")
    assert call("plan", "specs/fas_planning.yaml").code == 0
    Path("prompts/en/fas/plan.j2").write_text("changed")
    again = call("init", ".")
    assert ": 0 files written, " in again.out
    assert Path("prompts/en/fas/plan.j2").read_text() == "changed"


def test_new_writes_an_action_that_works_as_it_is(project: Path) -> None:
    done = call("new", "remark")
    assert done.out.startswith("wrote actions/remark.yaml\nwrote prompts/remark.j2\nnext: in ., `remark:` is a verb")
    (project / "remarks.yaml").write_text(
        "models: models.yaml\nsteps:\n  notes:\n    read: {path: notes.jsonl, columns: {id: str, license: str}}\n"
        "  told:\n    from: notes\n    let: {text: license}\n"
        "  remarked:\n    from: told\n    remark: {model: writer, n: 2}\n"
    )
    done = call("check", "remarks.yaml")
    assert done.code == 0, done.text
    assert call("new", "remark").code == 2
    assert call("new", "No-Verb").code == 2


def test_new_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("new", "remark", "--python")
    assert done.code == 0
    files = [line.removeprefix("wrote ") for line in done.out.splitlines()]
    assert "synthkit_remark/pyproject.toml" in files
    assert files[-1] == "next: python -m pip install -e synthkit_remark, then `remark:` is a verb"
    compile(Path("synthkit_remark/src/synthkit_remark/__init__.py").read_text(), "remark", "exec")


def test_doctor_says_what_is_installed() -> None:
    done = call("doctor")
    assert "Python 3." in done.out and "pylance" in done.out
    assert done.code == (1 if "BAD" in done.out else 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schow"], "did you mean 'show'?"),
        (["try"], "Missing argument 'SPEC'"),
        (["run", "small.yaml", "--limit", "0"], "0 is not"),
        (["run", "small.yaml", "--set", "novalue"], "is not NAME=VALUE"),
        (["show", "runs/small", "--sampels", "1"], "--samples"),
    ],
)
def test_wrong_usage_ends_with_exit_code_2(project: Path, arguments: list[str], said: str) -> None:
    done = call(*arguments)
    assert done.code == 2
    assert said in done.err


def test_the_ledger_of_a_stopped_run_counts_its_samples(project: Path) -> None:
    done = call("run", "small.yaml", "--quiet", "--max-requests", "3")
    heads = " ".join(line for line in done.out.splitlines() if line.startswith(("step", "samples of")))
    assert "asked" in heads and "pending" in heads
