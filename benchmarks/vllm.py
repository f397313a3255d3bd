"""Tokens a second through synthkit against bare vLLM on the same requests, in interleaved pairs.

A first run of synthkit writes down what it gives to vLLM: prompts as token ids, sampling, schema and seed of every
request. Bare vLLM is its async engine, loaded with the same arguments and fed with all of these at once; synthkit
reads, renders, tokenises, journals, parses, stores, publishes and counts. Both load the model before the clock starts
and stop the engine after it ends.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import SPECS, Figure, documents, run

PAIRS = 7
ROWS = 384
SHARED = 96
"""Documents that four prompts share each."""

BARE = """
import asyncio, pickle, sys, time
from synthkit.core.engine import Role
from synthkit.engines.vllm_config import VllmConfig

async def main():
    with open(sys.argv[1], "rb") as file:
        requests, arguments = pickle.load(file)
    engine = VllmConfig(vllm="nano", args=arguments).build({"writer": Role(engine="nano")})
    await engine.start()
    inner = engine._replicas[0].engine

    async def one(number, prompt, params):
        async for output in inner.generate(prompt, params, str(number)):
            pass
        return len(output.outputs[0].token_ids), output.num_cached_tokens or 0, len(output.prompt_token_ids)

    await one("first", *requests[0])
    began = time.monotonic()
    made, cached, prompt = map(sum, zip(*await asyncio.gather(*(one(n, *each) for n, each in enumerate(requests)))))
    print("FIGURES", made / (time.monotonic() - began), cached / prompt)
    await engine.close()

if __name__ == "__main__":
    asyncio.run(main())
"""

OURS = """
import pickle, random, sys, time
import synthkit
from synthkit import api
from synthkit.engines.vllm import VllmEngine
from synthkit.execute.engines import EnginePool, Running

began, ended, requests = [], [], []
complete, close, generate = Running.complete, EnginePool.close, VllmEngine._generate

async def completing(self, request):
    await self.ready()
    if not began:
        began.append(time.monotonic())
    return await complete(self, request)

async def closing(self):
    ended.append(time.monotonic())
    await close(self)

async def generating(self, engine, tokens, params, request):
    requests.append(({"prompt_token_ids": tokens}, params))
    return await generate(self, engine, tokens, params, request)

Running.complete, EnginePool.close = completing, closing
if len(sys.argv) > 4:
    VllmEngine._generate = generating

def main():
    spec, documents, out = sys.argv[1:4]
    graph = api.check(spec, sets={"vars.documents": documents})
    api.run(graph, out=out)
    run = synthkit.open(out)
    rows = sum(1 for _ in open(documents))
    assert run["answers"].collect().height % rows == 0, "every row is published"
    usage = run.usage.select("completion_tokens", "cached_tokens", "prompt_tokens").sum().row(0)
    print("FIGURES", usage[0] / (ended[0] - began[0]), usage[1] / usage[2])
    if requests:
        random.Random(1).shuffle(requests)
        with open(sys.argv[4], "wb") as file:
            pickle.dump((requests, graph.engines["nano"].args), file)

if __name__ == "__main__":
    main()
"""


def pairs() -> Iterator[Figure]:
    """Median of the ratios of seven interleaved pairs, with the interval of all of them."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        source = documents(folder / "documents.jsonl", ROWS)
        requests, bare_script, our_script = folder / "requests", folder / "bare.py", folder / "ours.py"
        bare_script.write_text(BARE)
        our_script.write_text(OURS)
        our_command = (str(our_script), str(SPECS / "local.yaml"), str(source))
        _figures(*our_command, str(folder / "first"), str(requests))
        ours: list[float] = []
        bare: list[float] = []
        for number in range(PAIRS):
            both = [
                (bare, (str(bare_script), str(requests))),
                (ours, (*our_command, str(folder / f"run{number}"))),
            ]
            random.Random(number).shuffle(both)
            for figures, command in both:
                figures.append(_figures(*command)[0])
        ratios = sorted(o / b for o, b in zip(ours, bare, strict=True))
        yield Figure("vLLM through synthkit", statistics.median(ours), "tokens/s", statistics.median(bare), "bare vLLM")
        name = f"  median of {PAIRS} ratios ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        yield Figure(name, statistics.median(ratios), "", aim=">= 0.97")


def prefixes() -> Iterator[Figure]:
    """Prompt tokens that the prefix cache serves: in our order, and with the same requests shuffled."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        source = documents(folder / "documents.jsonl", SHARED, words=250)
        requests, bare_script, our_script = folder / "requests", folder / "bare.py", folder / "ours.py"
        bare_script.write_text(BARE)
        our_script.write_text(OURS)
        ours = _figures(str(our_script), str(SPECS / "shared.yaml"), str(source), str(folder / "run"), str(requests))
        shuffled = _figures(str(bare_script), str(requests))
        yield Figure("prompt tokens from the prefix cache", ours[1], "", shuffled[1], "requests shuffled")
        yield Figure("  tokens/s of such a run", ours[0], "tokens/s", shuffled[0], "requests shuffled")


def _figures(*arguments: str) -> tuple[float, float]:
    """Tokens a second, and the share of prompt tokens that were cached."""
    output = run(*arguments).output
    words = next(line.split() for line in output.splitlines() if line.startswith("FIGURES"))
    return float(words[1]), float(words[2])
