"""Tokens a second through synthkit against bare vLLM on the same requests, in interleaved pairs.

A first run of synthkit writes down what it gives to vLLM: prompts as token ids, sampling, schema and seed of every
request. Bare vLLM is its async engine, loaded with the same arguments and fed with all of these at once; synthkit
reads, renders, tokenises, journals, parses, stores, publishes and counts. Both load the model before the clock starts
and stop the engine after it ends.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import SPECS, Figure, documents, run

PAIRS = 7
ROWS = 384

BARE = """
import asyncio, pickle, sys, time
from synthkit.core.engine import Role
from synthkit.engines.vllm_config import VllmConfig

async def main():
    with open(sys.argv[1], "rb") as file:
        requests = pickle.load(file)
    engine = VllmConfig(vllm="nano").build({"writer": Role(engine="nano")})
    await engine.start()
    inner = engine._replicas[0].engine

    async def one(number, prompt, params):
        async for output in inner.generate(prompt, params, str(number)):
            pass
        return len(output.outputs[0].token_ids)

    await one("first", *requests[0])
    began = time.monotonic()
    made = sum(await asyncio.gather(*(one(number, *each) for number, each in enumerate(requests))))
    print("FIGURE", made / (time.monotonic() - began))
    await engine.close()

if __name__ == "__main__":
    asyncio.run(main())
"""

OURS = """
import pickle, sys, time
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
    api.run(api.check(spec, sets={"vars.documents": documents}), out=out)
    run = synthkit.open(out)
    rows = sum(1 for _ in open(documents))
    assert run["answers"].collect().height == rows, "every row is published"
    print("FIGURE", run.usage["completion_tokens"].sum() / (ended[0] - began[0]))
    if requests:
        with open(sys.argv[4], "wb") as file:
            pickle.dump(requests, file)

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
        _figure(*our_command, str(folder / "first"), str(requests))
        ours: list[float] = []
        bare: list[float] = []
        for number in range(PAIRS):
            both = [
                (bare, (str(bare_script), str(requests))),
                (ours, (*our_command, str(folder / f"run{number}"))),
            ]
            random.Random(number).shuffle(both)
            for figures, command in both:
                figures.append(_figure(*command))
        ratios = sorted(o / b for o, b in zip(ours, bare, strict=True))
        yield Figure("vLLM through synthkit", statistics.median(ours), "tokens/s", statistics.median(bare), "bare vLLM")
        name = f"  median of {PAIRS} ratios ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        yield Figure(name, statistics.median(ratios), "", aim=">= 0.97")


def _figure(*arguments: str) -> float:
    output = run(*arguments).output
    return float(next(line.split()[1] for line in output.splitlines() if line.startswith("FIGURE")))


if __name__ == "__main__":
    print(json.dumps([figure.__dict__ for figure in pairs()], indent=2))
