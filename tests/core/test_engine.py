"""What a request is known by on disk."""

from dataclasses import replace

from synthkit.core.engine import Constraint, Message, Request, Role

IDENTITY = {"vllm": "nano", "revision": None}
ROLE = Role(engine="e", temperature=0.3, stop=("END",), extra={"seed": 1})
REQUEST = Request((Message("system", "Be brief."), Message("user", "Wer? Ünï")), ROLE, "writer")
CONSTRAINT = Constraint("json", {"type": "object", "properties": {"a": {"type": "string"}}})
GREEDY = ROLE.model_copy(update={"temperature": 0.0})


def test_digests_are_those_of_every_earlier_run() -> None:
    """Completions are found by these: another value here asks every model of every run again."""
    assert REQUEST.digest(IDENTITY) == "1f963d984adf3a649fd2522c374f7b2c"
    long = replace(REQUEST, role=Role(**{**ROLE.model_dump(), "max_tokens": 4096, "reask": 3}), constraint=CONSTRAINT)
    assert long.digest(IDENTITY) == "6dfe9c3a49e25f4f551fc9462e8b567c"
    assert replace(REQUEST, labels=("yes", "no")).digest(IDENTITY) == "b3293a6e9b3ba7d80a2ae1690932f2e8"


def test_what_does_not_decide_the_reply_does_not_count() -> None:
    other = replace(REQUEST, n=8, seed=9, model="judge", priority=-3, role=ROLE.model_copy(update={"engine": "f"}))
    assert other.digest(IDENTITY) == REQUEST.digest(IDENTITY)


def test_a_run_seed_counts_where_the_reply_is_sampled() -> None:
    first, second = (replace(REQUEST, run_seed=number).digest(IDENTITY) for number in (1, 2))
    assert len({REQUEST.digest(IDENTITY), first, second}) == 3
    for fixed in (replace(REQUEST, labels=("yes", "no")), replace(REQUEST, role=GREEDY)):
        assert replace(fixed, run_seed=1).digest(IDENTITY) == fixed.digest(IDENTITY)
