import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from synthkit.execute.quota import Gate


async def accepted(rows: list[str], quota: int, order: list[int]) -> set[int]:
    """Rows accepted when they arrive at the gate in `order`."""
    gate = Gate(rows=quota, tokens=None, per="style")
    kept: set[int] = set()

    async def pass_through(sequence: int) -> None:
        await gate.turn(sequence)
        if gate.accept({"style": rows[sequence]}):
            kept.add(sequence)
        gate.passed()

    tasks = []
    for sequence in order:
        tasks.append(asyncio.create_task(pass_through(sequence)))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return kept


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 5), st.randoms())
def test_what_is_accepted_does_not_depend_on_who_arrives_first(rows: list[str], quota: int, rng: random.Random) -> None:
    order = list(range(len(rows)))
    rng.shuffle(order)
    expected = {at for at, style in enumerate(rows) if rows[:at].count(style) < quota}
    assert asyncio.run(accepted(rows, quota, order)) == expected


def test_a_token_quota_counts_the_column_tokens() -> None:
    gate = Gate(rows=None, tokens=100, per=None)
    assert gate.accept({"tokens": 60})
    assert gate.accept({"tokens": 60})
    assert not gate.accept({"tokens": 1})
    assert gate.full({"tokens": 1})
