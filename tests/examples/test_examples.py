"""The two examples of a new action type, as a user would try them."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import synthkit
from synthkit import api

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS = """
engines:
  fake: {scripted: auto}
models:
  writer: {engine: fake, max_tokens: 4000}
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(MODELS)
    return path


def test_an_action_type_of_one_yaml_file_and_one_prompt(tmp_path: Path, models: Path) -> None:
    moves = EXAMPLES / "second_thought" / "moves.jsonl"
    result = api.run(
        EXAMPLES / "second_thought" / "spec.yaml",
        models=models,
        sets={"vars.moves": str(moves)},
        out=tmp_path / "runs" / "second_thought",
    )
    assert result.stopped is None and result.problems == []
    rows = len(moves.read_text().splitlines())
    assert result.ledger["moves"].output == rows
    assert result.ledger["thoughts.thoughts"].asked == 2 * rows
    published = synthkit.open(result.path)["thoughts"].collect()
    assert set(published.columns) >= {"question", "analysis", "overlooked", "instead"}


def installed(folder: Path) -> Path:
    """The package and its metadata, as pip would lay them out; pip itself may find no build backend offline."""
    source = EXAMPLES / "synthkit_keywords"
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    shutil.copytree(source / "src" / "synthkit_keywords", folder / "synthkit_keywords")
    info = folder / f"synthkit_keywords-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.3\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


SPEC = """
name: words
about: Key words by an action of another package.
models: models.yaml
steps:
  articles:
    read: {path: articles.jsonl, key: id, columns: {body: str}}
  words:
    from: articles
    keywords: {model: writer, text: body}
publish:
  words: {from: words, columns: [body, keywords]}
"""


def test_an_action_type_of_a_package_of_its_own(tmp_path: Path, models: Path) -> None:
    where = installed(tmp_path / "site")
    (tmp_path / "words.yaml").write_text(SPEC)
    lines = (json.dumps({"id": n, "body": f"a, b and c of {n}, moved border market garden"}) for n in range(6))
    (tmp_path / "articles.jsonl").write_text("\n".join(lines))
    environment = {**os.environ, "PYTHONPATH": str(where)}

    def synth(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "synthkit", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Key words" in synth("actions", "keywords")
    assert "keywords" in synth("plan", "words.yaml")
    synth("run", "words.yaml", "--quiet")
    run = synthkit.open(tmp_path / "runs" / "words")
    store = run.store
    assert store.scan("articles").collect().height == 6
    decided = store.scan("words").collect().height + store.rejects().collect()["sample"].is_null().sum()
    assert decided == 6
    assert store.completions().collect().height >= 6
