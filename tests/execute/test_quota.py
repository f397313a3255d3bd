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


async def begun(brings: list[int], quota: int, strata: int, rng: random.Random) -> tuple[list[int], int]:
    """What each source row gets through when replies come in any order, and how many rows were begun for it."""
    gate = Gate(rows=quota, tokens=None, per="style")
    kept = [0] * len(brings)
    asked: list[int] = []
    replies: list[asyncio.Future[None]] = []

    async def tree(sequence: int) -> None:
        data = {"style": sequence % strata}
        await gate.begin(data)
        if not gate.full(data):
            asked.append(sequence)
            replies.append(asyncio.get_running_loop().create_future())
            await replies[-1]
        await gate.turn(sequence)
        for _ in range(brings[sequence]):
            kept[sequence] += gate.accept(data)
        gate.passed(data)

    tasks = [asyncio.create_task(tree(sequence)) for sequence in range(len(brings))]
    while not all(task.done() for task in tasks):
        for _ in range(5):
            await asyncio.sleep(0)
        if replies:
            replies.pop(rng.randrange(len(replies))).set_result(None)
    await asyncio.gather(*tasks)
    return kept, len(asked)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 12), st.integers(1, 4), st.randoms())
def test_rows_that_wait_to_begin_all_come_through(
    brings: list[int], quota: int, strata: int, rng: random.Random
) -> None:
    expected = []
    left = [quota] * strata
    for sequence, given_rows in enumerate(brings):
        expected.append(min(given_rows, left[sequence % strata]))
        left[sequence % strata] -= expected[-1]
    assert asyncio.run(begun(brings, quota, strata, rng))[0] == expected


def test_few_rows_are_begun_beyond_those_that_are_needed() -> None:
    rng = random.Random(1)
    brings = [int(rng.random() < 0.43) for _ in range(600)]
    needed = next(at for at in range(600) if sum(brings[:at]) == 100)
    assert needed <= asyncio.run(begun(brings, 100, 1, rng))[1] <= needed * 1.5
    assert asyncio.run(begun(brings, 600, 1, rng))[1] == 600, "a quota that is far away holds nobody back"


def test_a_token_quota_counts_the_column_tokens() -> None:
    gate = Gate(rows=None, tokens=100, per=None)
    assert gate.accept({"tokens": 60})
    assert gate.accept({"tokens": 60})
    assert not gate.accept({"tokens": 1})
    assert gate.full({"tokens": 1})
