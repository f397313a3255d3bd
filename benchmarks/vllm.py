"""Tokens a second through synthkit against bare vLLM on the same requests, in interleaved pairs.

Bare vLLM is its async engine fed with all prompts at once; synthkit reads, renders, journals, parses, stores, publishes
and counts. Both load the model before the clock starts and stop the engine after it ends; prompts, reply schema,
sampling and seeds are of the same kind.
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
ROWS = 256
TOKENS = 128

BARE = """
import asyncio, json, sys, time
from synthkit.core.engine import Message, Request, Role
from synthkit.engines.vllm_config import VllmConfig
async def main():
    rows = [json.loads(line) for line in open(sys.argv[1])]
    tokens = int(sys.argv[2])
    role = Role(engine="nano", temperature=1.0, max_tokens=tokens, extra={"ignore_eos": True})
    engine = VllmConfig(vllm="nano").build({"writer": role})
    await engine.start()
    from synthkit.core.types import json_schema, parse_type
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
    schema = json_schema(parse_type({"answer": "str(1..4000)"}))
    inner = engine._replicas[0].engine
    tokenizer = engine._tokenizer
    from jinja2 import Template
    template = Template(open(sys.argv[3]).read().strip())
    prompts = [tokenizer.apply_chat_template([{"role": "user", "content": template.render(text=r["text"])}],
               add_generation_prompt=True, tokenize=True, return_dict=False) for r in rows]
    async def one(number, ids):
        params = SamplingParams(temperature=1.0, max_tokens=tokens, ignore_eos=True, seed=number,
                                structured_outputs=StructuredOutputsParams(json=schema),
                                output_kind=RequestOutputKind.FINAL_ONLY)
        async for out in inner.generate({"prompt_token_ids": ids}, params, str(number)):
            pass
        return len(out.outputs[0].token_ids)
    await one(0, prompts[0])
    began = time.monotonic()
    made = sum(await asyncio.gather(*(one(i + 1, p) for i, p in enumerate(prompts))))
    print("FIGURE", made / (time.monotonic() - began))
    await engine.close()
if __name__ == "__main__":
    asyncio.run(main())
"""

OURS = """
import json, sys, time
from pathlib import Path
import synthkit
from synthkit import api
from synthkit.execute.engines import EnginePool, Running
first, ended = [], []
complete = Running.complete
async def timed(self, request):
    await self.ready()
    if not first:
        first.append(time.monotonic())
    return await complete(self, request)
Running.complete = timed
close = EnginePool.close
async def closing(self):
    ended.append(time.monotonic())
    await close(self)
EnginePool.close = closing
def main():
    graph = api.check(sys.argv[1], sets={"vars.documents": sys.argv[2], "vars.tokens": sys.argv[3]})
    result = api.run(graph, out=sys.argv[4])
    made = synthkit.open(sys.argv[4]).usage["completion_tokens"].sum()
    print("FIGURE", made / (ended[0] - first[0]))
if __name__ == "__main__":
    main()
"""


def pairs() -> Iterator[Figure]:
    """Median of the ratios of seven interleaved pairs, with the interval of all of them."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        source = documents(folder / "documents.jsonl", ROWS)
        bare_script, our_script = folder / "bare.py", folder / "ours.py"
        bare_script.write_text(BARE)
        our_script.write_text(OURS)
        ours: list[float] = []
        bare: list[float] = []
        for number in range(PAIRS):
            bare_command = (str(bare_script), str(source), str(TOKENS), str(SPECS / "prompts" / "answer.j2"))
            out = str(folder / f"run{number}")
            our_command = (str(our_script), str(SPECS / "local.yaml"), str(source), str(TOKENS), out)
            both = [(bare, bare_command), (ours, our_command)]
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
