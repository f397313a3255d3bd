"""README and docs/: what stands in blocks runs, files shown are the files there are, links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

import synthkit
from synthkit import api
from synthkit.cli import cli
from synthkit.core.expr.filters import FILTERS
from tests.cli.conftest import call
from tests.docs.blocks import PAGES, ROOT, Block, blocks

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.kind in ("sh", "console", "python")]


@pytest.mark.parametrize("page", [page for page in PAGES if _run(page)])
def test_blocks_run(page: str, clone: Path) -> None:
    """Commands and Python of one page, in order, in one folder with a finished run."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in _run(page):
        if block.kind == "python":
            exec(compile("\n" * block.line + block.text, page, "exec"), names)
        else:
            for line in block.text.splitlines():
                _command(line, f"{page}: {line}", checked_only="checked only" in block.note)
        os.chdir(clone)


def _command(line: str, where: str, *, checked_only: bool) -> None:
    for part in shlex.split(line, comments=True) and line.split(" && "):
        words = shlex.split(part, comments=True)
        if words[0] == "synthkit" and checked_only and words[1] in ("export", "preflight"):
            command = cli.get_command(click.Context(cli), words[1])
            assert command is not None, where
            command.make_context(words[1], words[2:])  # raises what is wrong with its arguments
        elif words[0] == "synthkit":
            arguments = _checked(words[1:]) if checked_only and words[1] == "run" else words[1:]
            done = call(*arguments)
            assert done.code == 0 or (words[1] == "doctor" and done.code == 1), f"{where}\n{done.text}"
        elif words[0] == "cd":
            os.chdir(words[1])
        elif words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), where
        else:
            assert words[0] in ("pip", "python", "source", ".ci/run", ".venv/bin/python"), where


def _checked(words: list[str]) -> list[str]:
    """The arguments of `check` for those of `run`."""
    kept = ["check", words[1]]
    for at, word in enumerate(words):
        if word in ("--models", "--set", "--path"):
            kept += words[at : at + 2]
    return kept


@pytest.mark.parametrize(
    ("page", "block"),
    [pytest.param(p, b, id=f"{p}:{b.line}") for p in PAGES for b in blocks(p) if b.note.startswith("file: ")],
)
def test_files_shown_are_the_files_there_are(page: str, block: Block) -> None:
    place, _, begin = block.note.removeprefix("file: ").partition(" from ")
    text = (ROOT / place).read_text(encoding="utf-8")
    assert block.text == text[text.index(begin) :] if begin else block.text == text


@pytest.mark.parametrize(
    ("page", "block"),
    [pytest.param(p, b, id=f"{p}:{b.line}") for p in PAGES for b in blocks(p) if b.kind in ("yaml", "toml")],
)
def test_yaml_and_toml_are_what_they_say(page: str, block: Block, clone: Path) -> None:
    value = tomllib.loads(block.text) if block.kind == "toml" else yaml.safe_load(block.text)
    assert isinstance(value, dict)
    if "engines" in value and "steps" not in value and block.kind == "yaml":
        Path("shown.yaml").write_text(block.text)
        assert api.check("specs/fas_planning.yaml", models="shown.yaml").roles.keys() == {"writer", "judge"}
    if "steps" in value and "name" in value:
        for name in ("question", "judge"):
            seen = "{{ text }} {{ style }}" if name == "question" else "{{ question }} {{ criterion }}"
            Path(f"prompts/{name}.j2").write_text(f'{{% role "user" %}}{seen}{{% endrole %}}')
        Path("data").mkdir()
        Path("data/notes.jsonl").write_text('{"id": "1", "text": "a"}\n')
        Path("specs/shown.yaml").write_text(block.text)
        nodes = api.check("specs/shown.yaml").nodes
        assert list(dict.fromkeys(node.partition(".")[0] for node in nodes)) == list(value["steps"])


def test_the_engine_shown_passes_the_suite_shown(tmp_path: Path) -> None:
    python = [b.text for b in blocks("docs/engines.md") if b.kind == "python" or b.note == "test: engine contract"]
    assert len(python) == 2
    (tmp_path / "test_echo.py").write_text("\n".join(python))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_echo.py"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_generated_parts_are_current() -> None:
    generate = _generate()
    made = generate.parts()
    seen = set()
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert generate.generated(text, made) == text, f"{path.name}: run `python -m docs.generate`"
        seen |= set(re.findall(r"<!-- generated: ([a-z-]+) -->", text))
    assert seen == set(made)
    assert all(f"\n- `{name}`: " in made["filters"] or made["filters"].startswith(f"- `{name}`: ") for name in FILTERS)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```|`[^`\n]+`", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        place, _, anchor = target.partition("#")
        file = (ROOT / page).parent / place if place else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings], (
                target
            )


def test_what_readme_counts_is_so() -> None:
    documents = [
        line for path in (ROOT / "examples/documents").glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert f"{len(documents)} shipped articles" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_wheel_named_is_the_one_that_is_made() -> None:
    assert f"synthkit-{synthkit.__version__}-py3-none-any.whl" in (ROOT / "docs/install.md").read_text(encoding="utf-8")
