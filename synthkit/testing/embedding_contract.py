"""What every engine that embeds must do, as a pytest class; see `engine_contract`, of which it shares the fixture."""

from __future__ import annotations

import asyncio
import math
import operator
from collections.abc import Sequence
from typing import Any

from synthkit.core.engine import Completion, Message, Request
from synthkit.core.vector import from_text
from synthkit.testing.engine_contract import EngineBasics, Running


class EmbeddingContract(EngineBasics):
    """For engines that claim `embed`: subclass it as `Test...` and override `provide`."""

    def request(self, text: str = "Name a bridge.", **fields: Any) -> Request:
        """The vector of a text; `role` may hold fields of the role."""
        role = self.roles["writer"].model_copy(update=fields.pop("role", {}))
        return Request((Message("user", text),), role, "writer", embed=True, **fields)

    def vectors(self, running: Running, *texts: str) -> list[list[float]]:
        """The vectors of texts, asked for at once."""

        async def crowd() -> list[Completion]:
            return await asyncio.gather(*(running.engine.complete(self.request(text)) for text in texts))

        done = running.run(crowd())
        assert all(len(each.samples) == 1 for each in done)
        return [from_text(each.samples[0].text) for each in done]

    def test_it_claims_to_embed(self, running: Running) -> None:
        """Or the plan refuses it to every `embed` step."""
        assert "embed" in running.config.capabilities()

    def test_vectors_are_of_one_length_and_differ(self, running: Running) -> None:
        """Also that of another script; no text without a character is ever asked for."""
        found = self.vectors(running, "Name a bridge.", "The river rose in 1954.", "沧浪大桥")
        assert len({len(each) for each in found}) == 1
        assert cosine(found[0], found[1]) < 0.9999
        assert all(math.hypot(*each) > 0 for each in found[:2])

    def test_a_text_has_one_vector_whatever_is_asked_beside_it(self, running: Running) -> None:
        """Alone or in a crowd; what the engine's arithmetic leaves is far below any threshold."""
        texts = [f"Bridge {number} of the old town was opened in {1900 + number}." for number in range(64)]
        crowd = self.vectors(running, *texts)
        for at in (0, 13, 63):
            assert cosine(crowd[at], self.vectors(running, texts[at])[0]) > 0.9999
        assert cosine(crowd[0], crowd[63]) < 0.999999, "each got its own"

    def test_what_is_sampled_has_no_part_in_it(self, running: Running) -> None:
        """A role's temperature neither changes the vector nor the key it is kept by."""
        hot, cold = (self.request(role={"temperature": each}) for each in (2.0, 0.0))
        assert hot.digest() == cold.digest() != self.request("Name a river.").digest()
        one, other = (from_text(running.ask(each).samples[0].text) for each in (hot, cold))
        assert cosine(one, other) > 0.9999

    def test_cancelling_frees_the_engine(self, running: Running) -> None:
        """A cancelled request takes no slot any more."""

        async def cancel() -> None:
            texts = [f"{number} " + "the river and the bridge " * 20 for number in range(32)]
            work = [asyncio.create_task(running.engine.complete(self.request(text))) for text in texts]
            await asyncio.sleep(0.005)
            for task in work:
                task.cancel()
            ended = await asyncio.gather(*work, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError | Completion) for each in ended)
            assert (running.engine.load().running, running.engine.load().waiting) == (0, 0)
            await running.engine.complete(self.request())

        running.run(cancel())

    def test_usage_counts_the_text(self, running: Running) -> None:
        """More text is more tokens, and nothing is written."""
        short, long = (running.ask(self.request("the river " * times)).usage for times in (1, 50))
        assert 0 <= short.prompt <= long.prompt
        assert short.completion == long.completion == 0


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two vectors; 1 for the same direction."""
    product: float = sum(map(operator.mul, one, other))
    return product / (math.hypot(*one) * math.hypot(*other))
