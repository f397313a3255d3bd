"""A trajectory written in a form and read again is the same one, or the form says that it cannot hold it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.core.prompt import PromptLibrary
from synthkit.core.resources import shipped
from synthkit.core.toolset import load_toolset
from synthkit.core.trajectory import FORMS, Form, Trajectory, Unwritable, detect, openai, parse, problem, write

from .strategies import NASTY, PLAIN, trajectories

WIKI = load_toolset(shipped("toolsets") / "react_wiki.yaml")
HOLDS: dict[str, st.SearchStrategy[Trajectory]] = {
    "openai": trajectories(PLAIN),
    "chatml": trajectories(PLAIN),
    "sharegpt": trajectories(PLAIN),
    "sweagent": trajectories(PLAIN, say=False, ends=("call",)),
    "react": trajectories(PLAIN, say=False),
}


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_what_a_form_holds_comes_back(form: Form, data: st.DataObject) -> None:
    trajectory = data.draw(HOLDS[form])
    assert problem(trajectory) is None
    written = write(form, trajectory)
    assert parse(form, written, say=True) == trajectory
    assert parse(form, json.dumps(written), say=True) == trajectory, "as JSON text"


@pytest.mark.parametrize("form", FORMS)
@given(trajectory=trajectories(NASTY))
def test_whatever_the_texts_it_comes_back_or_is_refused(form: Form, trajectory: Trajectory) -> None:
    try:
        written = write(form, trajectory)
    except Unwritable as error:
        assert "step" in str(error) or "question" in str(error)
        return
    assert parse(form, written, say=True) == trajectory


@given(trajectory=trajectories(NASTY, say=False), toolset=st.sampled_from([None, WIKI]))
def test_react_with_a_toolset(trajectory: Trajectory, toolset: object) -> None:
    try:
        written = write("react", trajectory, toolset=toolset)  # type: ignore[arg-type]
    except Unwritable:
        return
    assert parse("react", written, toolset=toolset) == trajectory  # type: ignore[arg-type]


@given(trajectory=trajectories(PLAIN, say=False))
def test_the_form_is_told_by_its_shape(trajectory: Trajectory) -> None:
    for form in ("openai", "chatml", "sharegpt"):
        written = write(form, trajectory)  # type: ignore[arg-type]
        found = detect(written)
        assert parse(found, written) == trajectory  # type: ignore[arg-type]


@given(trajectory=trajectories(PLAIN))
def test_thoughts_in_tags_are_read_too(trajectory: Trajectory) -> None:
    assert parse("openai", openai.write(trajectory, "tags"), say=True) == trajectory
    without = [{**step, "thought": None} for step in trajectory.steps]
    assert parse("openai", openai.write(trajectory, "omit"), say=True) == trajectory._replace(steps=without)


@pytest.mark.parametrize("language", ["en", "zh"])
@given(trajectory=trajectories(PLAIN))
def test_chatml_text_of_the_shipped_template(language: str, trajectory: Trajectory) -> None:
    prompt = PromptLibrary([shipped("prompts")]).get(f"{language}/sft/chatml_document.j2")
    row = {"question": trajectory.question, "system": trajectory.system, "steps": trajectory.steps}
    text, spans = prompt.document({**row, "vars": {}})
    assert parse("chatml", text, say=True) == trajectory
    turns = [text[span["start"] : span["end"]] for span in spans if span["role"] == "assistant"]
    assert len(turns) == len(trajectory.steps)
    assert all(turn.endswith("<|im_end|>") for turn in turns)
