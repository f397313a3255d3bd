"""Specs that load: what they mean, where their files are found, which engines they get."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from synthkit.core.action import RowAction, SourceAction
from synthkit.core.errors import Mark, SpecError
from synthkit.core.resources import shipped
from synthkit.core.sizes import Bounds
from synthkit.spec import Site, load_spec
from synthkit.spec.model import Publish, Quota

from .conftest import Load

Write = Callable[[str, str], Path]
ROWS = "steps: {rows: {read: {path: p.jsonl}}}\n"
MODELS = "engines: {small: {scripted: auto}}\nmodels: {writer: {engine: small}}\n"


@pytest.mark.parametrize("file", ["entity_memory.yaml", "fas_planning.yaml"])
def test_shipped_specs_load(file: str) -> None:
    loaded = load_spec(shipped("specs") / file)
    assert loaded.spec.name == Path(file).stem
    assert set(loaded.spec.models) == {"writer", "judge"}
    assert loaded.spec.publish
    with pytest.raises(SpecError, match="is a models file, not a spec"):
        load_spec(shipped("specs") / "models.yaml")


def test_a_whole_spec(spec: Load) -> None:
    loaded = spec(
        """
        name: whole-1
        about: All keys.
        engines: {small: {scripted: auto}}
        models: {writer: {engine: small, temperature: 0}}
        tokenizer: nano
        vars: {want: 5K}
        steps:
          rows:
            read: {path: p.jsonl}
          more:
            read: {path: q.jsonl}
          both:
            from: [rows, more]
            when: "text"
            until: {rows: "${vars.want}", per: style}
            filter: {long: "text | length > 5"}
        publish:
          out: {from: both, columns: [text]}
          all: {from: both}
        audit: {both.kept: 30%..70%}
        """
    ).spec
    assert (loaded.name, loaded.about, loaded.tokenizer, loaded.toolset) == ("whole-1", "All keys.", "nano", None)
    assert isinstance(loaded.steps["rows"].action, SourceAction) and loaded.steps["rows"].from_ == ()
    both = loaded.steps["both"]
    assert isinstance(both.action, RowAction) and both.from_ == ("rows", "more") and both.verb == "filter"
    assert both.keys.when == "text" and both.keys.until == Quota(rows=5000, per="style") and both.call is None
    assert loaded.publish["out"] == Publish.model_validate({"from": "both", "columns": ["text"]})
    assert loaded.publish["all"].columns is None
    assert loaded.audit == {"both.kept": Bounds(0.3, 0.7)}
    assert loaded.models["writer"].temperature == 0


def test_the_name_defaults_to_the_file(spec: Load, wrong: Callable[..., list[str]]) -> None:
    assert spec(ROWS, name="my-spec.v2.yaml").spec.name == "my-spec"
    assert spec("vars: {x: y}\nname: ${vars.x}\n" + ROWS).spec.name == "y"


def test_problems_of_a_step_know_their_place(spec: Load) -> None:
    loaded = spec(ROWS + "", name="s.yaml")
    step = loaded.spec.steps["rows"]
    assert step.problem("x").mark == Mark("s.yaml", 1, 16), "without a path, the verb"
    assert step.problem("x", ("path",)).mark == Mark("s.yaml", 1, 29)
    assert step.problem("x", ("path",), key=True).mark == Mark("s.yaml", 1, 23)
    assert step.key_problem("x").mark == Mark("s.yaml", 1, 9), "without a path, the name"
    assert loaded.site("steps", "rows").mark() == Mark("s.yaml", 1, 15)
    kept = spec(
        "steps:\n  a:\n    read: {path: p}\n  b:\n    from: a\n    filter:\n      ok: 'true'\n      no: 'x'\n"
    ).spec.steps["b"]
    assert kept.problem("x", ("where", "no")).mark == Mark("spec.yaml", 8, 11), "a shorthand is not in the file"
    assert kept.key_problem("x", "from").mark == Mark("spec.yaml", 5, 11)


def test_order_of_keys_does_not_matter(spec: Load) -> None:
    one = spec("name: x\nvars: {a: 1, b: 2}\n" + ROWS + "audit: {rows.kept: 1.., rows.other: 2..}\n", name="s.yaml")
    two = spec("audit: {rows.other: 2.., rows.kept: 1..}\n" + ROWS + "vars: {b: 2, a: 1}\nname: x\n", name="s.yaml")
    assert one.spec == two.spec


def test_the_seed(spec: Load, wrong: Callable[..., list[str]]) -> None:
    assert spec(ROWS).spec.seed == 0
    assert spec("seed: 7\n" + ROWS).spec.seed == 7
    assert spec(ROWS, sets={"seed": "3"}).spec.seed == 3, "without a line of its own, too"
    assert spec('seed: "${vars.x}"\nvars: {x: 4}\n' + ROWS).spec.seed == 4
    assert wrong("seed: -1\n" + ROWS) != [] != wrong("seed: 1.5\n" + ROWS)


def test_models_from_a_file(spec: Load, write: Write) -> None:
    write("models.yaml", MODELS + "tokenizer: file\n")
    loaded = spec("models: models.yaml\n" + ROWS)
    assert loaded.spec.engines["small"].kind == "scripted"
    assert loaded.spec.tokenizer == "file" and loaded.models_document.file == "models.yaml"
    assert spec("models: models.yaml\ntokenizer: own\n" + ROWS).spec.tokenizer == "own"


def test_the_models_option_takes_the_place_of_both(spec: Load, write: Write) -> None:
    real = write(
        "elsewhere/real.yaml", "engines: {big: {scripted: auto}}\nmodels: {writer: {engine: big}}\ntokenizer: big\n"
    )
    for own in (MODELS, "models: no_such_file.yaml\n", ""):
        loaded = spec(own + "tokenizer: own\n" + ROWS, models=real).spec
        assert set(loaded.engines) == {"big"} and loaded.models["writer"].engine == "big"
        assert loaded.tokenizer == "big"
    assert spec(ROWS, models=real).models_given == real and spec(ROWS).models_given is None
    with pytest.raises(SpecError, match=r"^--models none\.yaml: there is no such models file"):
        spec(ROWS, models=Path("none.yaml"))


def test_a_models_file_has_no_variables(spec: Load, write: Write) -> None:
    write("models.yaml", 'engines: {small: {scripted: "${vars.x}"}}\nmodels: {}\n')
    with pytest.raises(SpecError, match=r"models\.yaml:1:29: \${vars\.x} is no reference"):
        spec("vars: {x: auto}\nmodels: models.yaml\n" + ROWS)


def test_secrets_stay_references(spec: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    engine = '{openai: m, urls: ["http://localhost:1/v1"], key: "${env.SOME_KEY}"}'
    loaded = spec(f"engines: {{far: {engine}}}\nmodels: {{}}\n" + ROWS)
    assert loaded.spec.engines["far"].model_dump(mode="json")["key"] == "${env.SOME_KEY}"
    assert "sk-secret" not in repr(loaded)
    with pytest.raises(SpecError, match="may only stand where a secret"):
        spec(f"engines: {{far: {engine}}}\nmodels: {{}}\nvars: {{k: '${{env.SOME_KEY}}'}}\n" + ROWS)


def test_files_are_found_upward_then_on_the_path_then_shipped(spec: Load, write: Write) -> None:
    toolset = "toolset: {}\nabout: {}\ntools: {{look: {{about: Look., parameters: {{type: object}}}}}}\n"
    write("toolsets/tools.yaml", toolset.format("upward", "x"))
    write("extra/toolsets/other.yaml", toolset.format("extra", "x"))
    write("project/specs/beside.yaml", toolset.format("beside", "x"))
    where = {"tools.yaml": "upward", "toolsets/tools.yaml": "upward", "other.yaml": "extra", "beside.yaml": "beside"}
    for name, title in where.items():
        text = f"toolset: {name}\n" + ROWS
        loaded = spec(text, name="project/specs/s.yaml", search=[Path("extra")])
        assert loaded.spec.toolset is not None and loaded.spec.toolset.toolset == title
    assert spec("toolset: deep_research.yaml\n" + ROWS).spec.toolset is not None, "shipped"
    write("toolsets/deep_research.yaml", toolset.format("mine", "x"))
    mine = spec("toolset: deep_research.yaml\n" + ROWS)
    assert mine.spec.toolset is not None and mine.spec.toolset.toolset == "mine"
    assert len(mine.search.find_all("toolsets", "deep_research.yaml")) == 2, "the shipped one is shadowed"


def test_prompt_folders(spec: Load, write: Write) -> None:
    write("prompts/x.j2", "")
    write("extra/prompts/x.j2", "")
    loaded = spec(ROWS, name="specs/s.yaml", search=[Path("extra")])
    assert loaded.prompts == (Path("specs"), Path("prompts"), Path("extra"), Path("extra/prompts"), shipped("prompts"))


def test_a_validator_may_raise_a_spec_error(spec: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthkit.actions.filter import Filter

    def refuse(*args: object, **options: object) -> None:
        raise SpecError("not today")

    monkeypatch.setattr(Filter, "model_validate_json", refuse)
    with pytest.raises(SpecError, match=r"spec\.yaml:1:56: not today"):
        spec("steps: {rows: {read: {path: p.jsonl}}, b: {from: rows, filter: {a: b}}}\n")


def test_plugins_that_cannot_be_imported_are_told_where_they_are_used(
    spec: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthkit.core import registry

    def load() -> None:
        raise ImportError("no module named x")

    broken = SimpleNamespace(load=load, dist=SimpleNamespace(name="plugin"), module="plugin")
    monkeypatch.setitem(registry.actions().points, "broken", broken)
    monkeypatch.setitem(registry.engines().points, "ruined", broken)
    with pytest.raises(SpecError) as caught:
        spec("engines: {e: {ruined: x, key: '${env.X}'}}\nmodels: {}\nsteps: {a: {from: b, broken: {}}}\n")
    told = [str(problem.mark) + " " + problem.message for problem in caught.value.problems]
    cannot = "of package 'plugin' cannot be imported: ImportError: no module named x"
    assert f"spec.yaml:1:15 synthkit.engines 'ruined' {cannot}" in told
    assert f"spec.yaml:3:22 synthkit.actions 'broken' {cannot}" in told


def test_a_site_is_a_place(spec: Load) -> None:
    loaded = spec("publish: {a: {from: rows, columns: [x]}}\n" + ROWS)
    site: Site = loaded.site("publish", "a")
    assert str(site.problem("no column 'x'", "columns", 0)).splitlines()[0] == "spec.yaml:1:37: no column 'x'"
    assert site.at("columns").mark(0) == Mark("spec.yaml", 1, 37)
