"""Whatever is in a spec file: it loads, or it is a SpecError, soon."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synthkit.core.errors import SpecError
from synthkit.core.resources import shipped
from synthkit.spec import LoadedSpec, load_spec
from synthkit.spec.verbs import packaged
from synthkit.spec.yaml import parse_document

from .bad_specs import FILES

SECONDS = 2.0
"""Of processor time, on a slow and busy machine; the median is 10 ms."""
TEXTS = [
    *(file.read_text(encoding="utf-8") for file in sorted(shipped("specs").glob("*.yaml"))),
    *(file.read_text(encoding="utf-8") for file in FILES),
]
SPECS = [
    parse_document((shipped("specs") / name).read_text(encoding="utf-8"), name).value
    for name in ("entity_memory.yaml", "fas_planning.yaml")
]
COMPOSITE = packaged("synthkit.actions:composites/plan_action.yaml").read_text(encoding="utf-8")
SNIPPETS = [
    "${vars.k}", "${", "}", "${env.HOME}", "${params.x}", "{{ x }}", "{% raw %}", "*a", "&a ", "<<: ", "? ", "- ",
    "!!python/object:os.system ", ": ", "\t", "\n", "  ", "#", "|", ">", "'", '"', "[", "]", "{", "}", "null", "1_000",
    "32K", "..", "5..1", "from: ", "vars: ", "steps: ", "\x00", "\x85", "\u2028", "\ud7ff", "\U0001f600", "9" * 30,
    "1e999", ".nan", "---\n", "...\n", "%YAML 2.0\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples; each writes the same file anew."""
    return tmp_path_factory.mktemp("fuzz")


def attempt(folder: Path, data: bytes, **options: Any) -> LoadedSpec | None:
    """Load, or None with a proper SpecError; nothing else may happen."""
    file = folder / "spec.yaml"
    file.write_bytes(data)
    start = time.process_time()
    try:
        return load_spec(file, **options)
    except SpecError as error:
        assert error.problems and str(error)
        return None
    finally:
        assert time.process_time() - start < SECONDS


def mutated(text: str, edits: list[tuple[float, int, str]]) -> str:
    """The text with pieces cut out and others put in."""
    for at, cut, new in edits:
        position = int(at * len(text))
        text = text[:position] + new + text[position + cut :]
    return text


_edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=5))),
    min_size=1,
    max_size=4,
)


@given(text=st.sampled_from(TEXTS), edits=_edits)
def test_mutated_specs(folder: Path, text: str, edits: list[tuple[float, int, str]]) -> None:
    attempt(folder, mutated(text, edits).encode("utf-8", "surrogatepass"))


@given(data=st.binary(max_size=300))
@example(data=b"\xff\xfe\x00")
def test_random_bytes(folder: Path, data: bytes) -> None:
    attempt(folder, data)


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.sampled_from(SNIPPETS)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=8,
)


def _replace(value: Any, path: list[int], new: Any) -> Any:
    """A copy with one value, found by taking turns, replaced."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    items: Any = dict(value) if isinstance(value, dict) else list(value)
    items[key] = _replace(items[key], path[1:], new)
    return items


@given(spec=st.sampled_from(SPECS), path=st.lists(st.integers(0, 9), max_size=6), new=_json)
def test_well_formed_yaml_of_any_shape(folder: Path, spec: Any, path: list[int], new: Any) -> None:
    text = yaml.safe_dump(_replace(spec, path, new), allow_unicode=True, sort_keys=False)
    attempt(folder, text.encode("utf-8", "surrogatepass"))


@given(
    option=st.one_of(
        st.text(max_size=20),
        st.sampled_from(["vars.k", "steps.plans.plan_action.k", "name", "steps.sound.from.0", "audit.x", "models"]),
    ),
    value=st.one_of(st.text(max_size=20), st.sampled_from(SNIPPETS)),
)
@settings(max_examples=60)
def test_any_set_option(folder: Path, option: str, value: str) -> None:
    text = (shipped("specs") / "fas_planning.yaml").read_text(encoding="utf-8")
    attempt(folder, text.encode(), sets={option: value})


def _shuffled(value: Any, draw: st.DataObject, path: tuple[str, ...] = ()) -> Any:
    """The same value with the keys of every mapping in another order, but for steps, whose order means something."""
    if isinstance(value, list):
        return [_shuffled(item, draw, (*path, "*")) for item in value]
    if not isinstance(value, dict):
        return value
    keys = list(value) if path == ("steps",) else draw.draw(st.permutations(list(value)))
    return {key: _shuffled(value[key], draw, (*path, key)) for key in keys}


@given(spec=st.sampled_from(SPECS), data=st.data())
@settings(max_examples=25)
def test_order_of_keys_means_nothing(folder: Path, spec: Any, data: st.DataObject) -> None:
    plain = attempt(folder, yaml.safe_dump(spec, sort_keys=False).encode())
    other = attempt(folder, yaml.safe_dump(_shuffled(spec, data), sort_keys=False).encode())
    assert plain is not None and other is not None
    assert plain.spec == other.spec


@given(edits=_edits)
def test_mutated_composites_and_models_files(folder: Path, edits: list[tuple[float, int, str]]) -> None:
    here = folder / "composites"
    (here / "actions").mkdir(parents=True, exist_ok=True)
    action = mutated(COMPOSITE, edits).encode("utf-8", "surrogatepass")
    (here / "actions" / "plan_action.yaml").write_bytes(action)
    models = mutated((shipped("specs") / "models_server.yaml").read_text(encoding="utf-8"), edits)
    (here / "models.yaml").write_bytes(models.encode("utf-8", "surrogatepass"))
    attempt(here, (shipped("specs") / "fas_planning.yaml").read_bytes())
