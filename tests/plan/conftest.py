"""Small specs on scripted engines, written to a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthkit.plan import Graph, build_graph
from synthkit.spec.load import load_spec

MODELS = """
engines:
  script: {scripted: auto}
models:
  writer: {engine: script, temperature: 0.9}
  judge: {engine: script, temperature: 0.5}
"""
ROWS = """
  rows:
    read: {path: data/*.jsonl, columns: {question: str, answer: str, style: a|b, n: int}}
"""
TOOLS = """
toolset: tools
about: One tool.
tools:
  search:
    about: Search.
    parameters: {type: object, properties: {query: {type: string}}, required: [query], additionalProperties: false}
"""


class Bench:
    """A folder with prompts, data and a toolset, in which specs are written and planned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file("data/rows.jsonl", '{"question": "Who?", "answer": "Ada", "style": "a", "n": 1}\n')
        self.file("prompts/ask.j2", "Question: {{ question }}\n")
        self.file("prompts/judge.j2", "Question: {{ question }}\nCriterion: {{ criterion }}\n")
        self.file("tools.yaml", TOOLS)

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def plan(self, steps: str, *, top: str = "", models: str = MODELS, name: str = "spec.yaml") -> Graph:
        """The graph of a spec whose first step is `rows`."""
        rows = "" if steps.lstrip().startswith("rows:") else ROWS
        path = self.file(name, f"{models}\n{top}\nsteps:\n{rows}\n{steps}\n")
        return build_graph(load_spec(path))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)
