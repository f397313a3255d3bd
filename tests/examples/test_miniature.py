"""The comparison in miniature: worlds apart, a teacher that follows from its prompt, documents of packs, rollouts."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from synthkit.core.engine import Message, Request, Role
from tests.examples.asked import NANO
from tests.examples.conftest import MODULES

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")

HERE = NANO.parent / "miniature"
NAMES = ("oracle", "corpora", "training", "student", "outcomes", "report")
TINY = {
    "cpt-documents": 20, "sft-documents": 16, "test-documents": 16, "clusters": 6, "sft-clusters": 5,
    "test-clusters": 1, "base": 2000, "cpt": 2000, "sft": 2000, "test": 700, "seeds": 1, "workers": 1, "epochs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def mini() -> Iterator[SimpleNamespace]:
    """The modules of the example, which stand beside each other as nano's do."""
    before, path = dict(sys.modules), list(sys.path)
    for name in (*NAMES, *MODULES, "network"):
        sys.modules.pop(name, None)
    sys.path[:0] = [str(HERE), str(NANO)]
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in (*NAMES, "network")})
    sys.path[:] = path
    for name in (*NAMES, *MODULES, "network"):
        sys.modules.pop(name, None)
        if name in before:
            sys.modules[name] = before[name]


def request(*contents: str) -> Request:
    """A conversation of user and assistant in turn."""
    roles = ("user", "assistant")
    messages = tuple(Message(roles[at % 2], text) for at, text in enumerate(contents))  # type: ignore[arg-type]
    return Request(messages, Role(engine="e"), "writer")


def test_the_held_out_world_shares_no_title_and_is_mentioned_nowhere(mini: SimpleNamespace) -> None:
    size = mini.corpora.Size(cpt_documents=40, sft_documents=30, test_documents=25, base=4000, cpt=4000)
    made = mini.corpora.worlds_of(size)
    titles = {split: {p.title.lower() for p in passages} for split, passages in made.items()}
    assert (len(titles["cpt"]), len(titles["test"])) == (40, 25)
    assert not titles["cpt"] & titles["sft"]
    text = " ".join(s.text for split in ("cpt", "sft") for p in made[split] for s in p.sentences)
    assert not [p.title for p in made["test"] if p.title in text]
    assert mini.corpora.worlds_of(size) == made


def test_a_folder_of_other_settings_is_refused_and_kept(mini: SimpleNamespace, tmp_path: Path) -> None:
    size = mini.corpora.Size()
    mini.corpora.settle(tmp_path, size)
    mini.corpora.settle(tmp_path, size)
    with pytest.raises(SystemExit, match=r"other settings \(sft 25000, now 7\): give them again, or another --out"):
        mini.corpora.settle(tmp_path, size._replace(sft=7))


def test_a_question_of_the_teacher_follows_from_the_prompt_and_is_kept(mini: SimpleNamespace, tmp_path: Path) -> None:
    passages = list(mini.oracle.passages(5, 20))
    shown = "\n".join(
        f"[1] {s.entity} (1900): {s.statement}" for p in passages for s in p.sentences if s.year and s.stem
    )
    prompt = f"Write one hard question\n\nStatements:\n{shown}\nStyle: factual"
    first = mini.oracle.Oracle(passages, tmp_path / "kept.jsonl")
    made = json.loads(first.reply(request(prompt)))
    again = mini.oracle.Oracle(passages, tmp_path / "kept.jsonl")
    assert again.questions == first.questions == {made["question"]: first.questions[made["question"]]}
    assert json.loads(again.reply(request(prompt))) == made


def test_statements_that_hold_nothing_to_ask_give_a_question_that_the_filters_refuse(
    mini: SimpleNamespace, tmp_path: Path
) -> None:
    passages = list(mini.oracle.passages(5, 40))
    plain = next(s for p in passages for s in p.sentences if not s.year)
    prompt = f"Write one hard question\n\nStatements:\n[1] {plain.entity}: {plain.statement}\nStyle: factual"
    made = json.loads(mini.oracle.Oracle(passages, tmp_path / "kept.jsonl").reply(request(prompt)))
    assert made["answer"] in made["question"]  # which `answer_hidden` sets aside
    assert not (tmp_path / "kept.jsonl").exists()


def test_the_teacher_makes_a_failed_call_again_and_reads_the_answer_off(mini: SimpleNamespace) -> None:
    teacher = importlib.import_module("teacher")
    key = "history and timeline: Velmar was rebuilt"
    part = ("the year in which Velmar was rebuilt", key, "In which year was it that Velmar was rebuilt?")
    text = "About Velmar: in which year was it that Velmar was rebuilt?"
    asked = teacher.Question(text, "factual", "a year", "1931", (1,), "Velmar", (part,))
    sought = mini.oracle.next_move(asked, [])
    assert sought.call == {"name": "search", "arguments": {"query": ["Velmar was rebuilt"]}}
    error = "Error: the tool did not answer in time"
    assert mini.oracle.next_move(asked, [error]).call == sought.call
    found = "- Velmar (doc-1)\nVelmar was rebuilt in 1931.\n- Other (doc-2)\nOther was rebuilt in 1900."
    assert mini.oracle.next_move(asked, [error, found]).call == {"final": "1931"}
    assert mini.oracle.next_move(asked, ["- Other (doc-2)\nOther closed in 1900."]).call == {"final": "unknown"}
    assert mini.oracle.next_move(asked, ["(nothing found)"]).call["arguments"] == {"query": ["Velmar"]}


def small(mini: SimpleNamespace) -> Any:
    """A network of a few thousand parameters."""
    torch.manual_seed(0)
    size = mini.network.Size(vocab=4158, hidden=32, layers=2, heads=2, head=16, mlp=32)
    return mini.network.Network(size)


def packed(folder: Path, documents: list[list[int]]) -> Path:
    """An export with one pack."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    starts = [sum(map(len, documents[:n])) for n in range(len(documents))]
    mask = [int(at < len(d) - 1) for d in documents for at in range(len(d))]
    row = {"input_ids": [*chain(*documents)], "seq_start_id": starts, "loss_mask": mask}
    (folder / "packed").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row]), folder / "packed" / "train-00000.idx.parquet")
    return folder


DOCUMENTS = [[5, 9, 7, 3], [8, 2], [11, 12, 13, 14, 15, 16], [4, 4, 4]]


def test_documents_are_read_from_packs_and_do_not_see_each_other(mini: SimpleNamespace, tmp_path: Path) -> None:
    training, net = mini.training, small(mini)
    docs = training.documents(packed(tmp_path, DOCUMENTS))
    assert [doc.tokens.tolist() for doc in docs] == DOCUMENTS
    with torch.no_grad():
        together, count = training.loss_of(net, docs)
        alone = [training.loss_of(net, [doc]) for doc in docs]
    assert count == sum(n for _, n in alone) == sum(len(d) - 1 for d in DOCUMENTS)
    assert float(together) == pytest.approx(sum(float(loss) for loss, _ in alone), abs=1e-4)


def test_what_the_mask_leaves_out_is_read_and_not_learned(mini: SimpleNamespace) -> None:
    training, net = mini.training, small(mini)
    learned = torch.tensor([False, False, True, False])
    whole = training.Document(torch.tensor([5, 9, 7, 3]), learned)
    with torch.no_grad():
        loss, count = training.loss_of(net, [whole])
        hidden = net(torch.tensor([], dtype=torch.long), torch.tensor([[5, 9, 7]]), torch.arange(3)[None], _causal(3))
        expected = -net.lm_head(hidden[2]).log_softmax(-1)[3]
    assert count == 1
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)


def _causal(length: int) -> Any:
    return torch.ones(length, length, dtype=torch.bool).tril()[None, None]


def test_a_stage_that_was_killed_ends_as_one_that_was_not(mini: SimpleNamespace, tmp_path: Path) -> None:
    training = mini.training
    docs = training.documents(packed(tmp_path, DOCUMENTS * 6))

    def begun() -> Any:
        return training.Training(small(mini), docs, 3, 4, points=3)

    whole, part, rest = begun(), begun(), begun()
    for _ in range(3):
        whole.advance([])
    part.advance([])
    part.save(tmp_path / "state.pt")
    rest.load(tmp_path / "state.pt", "cpu")
    while rest.step < len(rest.plan):
        rest.advance([])
    assert rest.curve == whole.curve
    assert all(torch.equal(a, b) for a, b in zip(rest.net.parameters(), whole.net.parameters(), strict=True))


def test_the_student_decodes_what_the_whole_network_finds_likeliest(mini: SimpleNamespace) -> None:
    net = small(mini)
    student = mini.student.Student(net)
    student.end = -1  # it writes on
    made = student.tok.encode(student.written("Velmar was"), add_special_tokens=False).ids
    ids = student.tok.encode("Velmar was", add_special_tokens=False).ids
    expected = []
    for _ in range(8):
        tokens = torch.tensor([ids + expected])
        with torch.no_grad():
            hidden = net(tokens[0, :0], tokens, torch.arange(tokens.shape[1])[None], _causal(tokens.shape[1]))
        expected.append(int(net.lm_head(hidden[-1]).argmax()))
    assert student.tok.decode(made).startswith(student.tok.decode(expected)[:-4])


def test_a_turn_in_tags_becomes_the_reply_of_a_rollout(mini: SimpleNamespace) -> None:
    read = mini.student.as_reply
    call = '{"name": "search", "arguments": {"query": ["Velmar"]}}'
    assert json.loads(read(f"<think>\nI look.\n</think>\n<tool_call>\n{call}\n</tool_call>")) == {
        "thought": "I look.",
        "call": json.loads(call),
    }
    assert json.loads(read("<answer>\n1931\n</answer>")) == {"thought": "", "call": {"final": "1931"}}
    for broken in ("<think>\nI look", "<tool_call>\n{\n</tool_call>", "1931", "<think>\nx\n</think>"):
        assert read(broken) == broken


def test_calls_agree_by_tool_and_words(mini: SimpleNamespace) -> None:
    agreed = mini.outcomes.agreed
    call = ("search", {"query": ["Velmar was rebuilt"]}, None)
    assert agreed(call, call) == 1.0
    assert agreed(call, ("visit", {"query": ["Velmar was rebuilt"]}, None)) == 0.0
    assert 0.5 < agreed(call, ("search", {"query": ["Velmar"]}, None)) < 1.0


def result(mini: SimpleNamespace, seed: int, arm: str, loss: float, success: float) -> Any:
    curve = [{"tokens": 0, "train": None, "held_out": 4.0}, {"tokens": 9, "train": 2.0, "held_out": loss}]
    figures = {"loss_before": 4.0, "loss": loss, "readable": 1.0, "success": success}
    figures |= {"first_step": 0.5, "first_words": 0.5}
    return mini.report.Result(seed, arm, curve, figures)


def test_the_report_has_means_ranges_and_differences_within_seeds(mini: SimpleNamespace) -> None:
    found = [
        result(mini, 0, "base", 1.0, 0.1), result(mini, 1, "base", 2.0, 0.3),
        result(mini, 0, "agentic", 0.5, 0.6), result(mini, 1, "agentic", 1.8, 0.4),
    ]  # fmt: skip
    text = mini.report.table(found)
    assert "| task success | 20% (10% to 30%) | 50% (40% to 60%) |" in text
    assert "| task success | +30 points (+10 points to +50 points) |" in text  # 0.5 and 0.1, each within its seed
    assert mini.report.differences(found, "loss", "base") == pytest.approx([-0.5, -0.2])
    drawn = ElementTree.fromstring(mini.report.plot(found))
    assert len(drawn.findall(".//{*}polyline")) == 2


@pytest.mark.slow
def test_the_whole_way_from_documents_to_a_report_and_nothing_twice(mini: SimpleNamespace, tmp_path: Path) -> None:
    options = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, str(HERE / "run.py"), "--out", str(tmp_path / "out"), *options]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    out = tmp_path / "out"
    assert len(list(out.glob("seeds/0/tuned/*/outcome.json"))) == 3
    assert (out / "table.md").read_text(encoding="utf-8").strip() in first.stdout
    for found in mini.report.results(out):
        assert found.figures["teacher"] == 1.0
        assert found.figures["loss"] < found.figures["loss_before"]
    assert mini.corpora.leaked(out) == []
    assert mini.corpora.leaked(out, ["heldout"])  # which it would find
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.pt")}
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pretrained" not in second.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.pt")} == before
    documents = mini.training.documents(out / "exports" / "sft")
    seen = conversation_of(mini, out / "sft" / "runs" / "trajectories")
    tok = mini.student.Student(small(mini)).tok
    texts = [tok.decode(doc.tokens.tolist(), skip_special_tokens=False) for doc in documents]
    assert texts
    assert all(any(text.startswith(beginning) for beginning in seen) for text in texts)


def conversation_of(mini: SimpleNamespace, run: Path) -> list[str]:
    """What the student would be shown before the second turn of each run, written from the prompt of a rollout."""
    found = []
    for row in mini.outcomes.rows(run):
        step = row["steps"][0]
        call = {"name": step["call"]["name"], "arguments": json.loads(step["call"]["arguments"])}
        spoken = json.dumps({"thought": step["thought"], "call": call}, ensure_ascii=False)
        found.append(mini.student.conversation(request(f"...\nQuestion: {row['question']}", spoken, step["response"])))
    return found


def test_the_modules_are_those_that_stand_there() -> None:
    assert {path.stem for path in HERE.glob("*.py")} == {*NAMES, "run"}


def test_recipes_and_spec_are_sound() -> None:
    from synthkit.train.load import load_recipe

    recipes = {path.stem: load_recipe(path) for path in (HERE / "recipes").glob("*.yaml")}
    assert set(recipes) == {"base", "general", "agentic", "sft", "heldout"}
    for name in ("sft", "heldout"):
        assert recipes[name].keys.loss == {"all": 0, "assistant": 1}
    assert all(list(recipe.keys.outputs) == ["packed"] for recipe in recipes.values())
