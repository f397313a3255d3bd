"""A user without a clone: what the wheel holds, and that its commands work where there is nothing else."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import get_args
from zipfile import ZipFile

import pytest

from synthkit.core.resources import Kind, shipped

ROOT = Path(__file__).parents[2]
SPEC = """\
name: cities
models: models.yaml
steps:
  cities:
    read: {path: "shipped:documents/cities.jsonl", key: id, columns: {id: str, title: str, text: str}}
  asked:
    from: cities
    generate: {model: writer, prompt: ask.j2, out: {question: str(20..200)}}
publish: {questions: {from: asked, columns: [title, question]}}
"""
MODELS = "engines: {fake: {scripted: auto}}\nmodels: {writer: {engine: fake}}\ntokenizer: nano\n"


def test_what_a_checkout_ships_is_what_the_wheel_is_told_to_hold() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert told["packages"] == ["synthkit"]
    expected = {shipped(kind).relative_to(ROOT).as_posix(): f"synthkit/_data/{kind}" for kind in get_args(Kind)}
    assert told["force-include"] == expected


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    isolated = [] if importlib.util.find_spec("hatchling") is None else ["--no-build-isolation"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *isolated, "-w", str(folder), str(ROOT)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("no package index to fetch hatchling from, which builds the wheel")
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("synthkit-*-py3-none-any.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel alone; other packages are those of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with ZipFile(wheel) as file:
        file.extractall(packages)
    # A .pth inside a folder that a .pth names is not read: an editable synthkit is not found through it.
    (packages / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    return folder / "bin" / "python"


@pytest.mark.slow
def test_the_wheel_holds_every_file_that_ships(wheel: Path) -> None:
    with ZipFile(wheel) as file:
        names = {name for name in file.namelist() if not name.endswith("/")}
    for kind in get_args(Kind):
        root = shipped(kind)
        there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        assert there == {name.removeprefix(f"synthkit/_data/{kind}/") for name in names if f"/_data/{kind}/" in name}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "synthkit").rglob("*") if path.is_file()}
    assert {name for name in package if "__pycache__" not in name} <= names
    assert not any(name.startswith(("tests/", "docs/", "benchmarks/", "examples/")) for name in names)


@pytest.mark.slow
def test_a_wheel_is_all_that_is_needed(python: Path, tmp_path: Path) -> None:
    def run(*arguments: str, folder: str = "mine", codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [str(python), *arguments], cwd=tmp_path / folder, capture_output=True, text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )  # fmt: skip
        assert done.returncode in codes, f"{arguments}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def synthkit(*arguments: str, folder: str = "mine", codes: tuple[int, ...] = (0,)) -> str:
        return run("-m", "synthkit", *arguments, folder=folder, codes=codes)

    synthkit("init", "mine", folder=".")
    place = run("-c", "import synthkit; print(synthkit.__file__)")
    assert Path(place.strip()).is_relative_to(python.parents[1]), "the wheel's, not a checkout's"
    for spec in sorted((tmp_path / "mine/specs").glob("*.yaml")):
        if not spec.name.startswith("models"):
            assert "nothing wrong" in synthkit("check", f"specs/{spec.name}")
    assert "requests" in synthkit("plan", "specs/fas_planning.yaml", "--set", "vars.documents=data/documents/*.jsonl")
    assert "plan_action" in synthkit("actions") and "rubric" in synthkit("actions", "judge")
    assert '"$schema"' in synthkit("schema")
    assert "pylance" in synthkit("doctor", codes=(0, 1))

    (tmp_path / "mine/cities.yaml").write_text(SPEC)
    (tmp_path / "mine/models.yaml").write_text(MODELS)
    (tmp_path / "mine/prompts/ask.j2").write_text('{% role "user" %}Ask about {{ text }}{% endrole %}')
    assert "rows  runs/cities/published/questions.lance" in synthkit("run", "cities.yaml")
    assert "question" in synthkit("show", "runs/cities", "questions", "--samples", "1")
    assert "questions.jsonl" in synthkit("export", "runs/cities", "questions", "--out", "out")
    assert "every row is in one place" in synthkit("audit", "runs/cities")

    synthkit("new", "note")
    assert "gives: note" in synthkit("actions", "note")
    synthkit("new", "remark", "--python")
