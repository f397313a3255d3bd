"""The `openai` engine, alone and through the whole of synthkit, against a bare asynchronous client on one server.

Client and server share the machine's cores: where the server takes one of two, no run can reach the bare client.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import SPECS, Figure, documents, run
from synthkit.core.engine import Message, Request, Role
from synthkit.core.types import constraint, parse_type
from synthkit.engines import openai_wire
from synthkit.engines.openai_config import OpenAIConfig

ROWS = 10_000
WINDOW = 128
ROLE = Role(engine="server")
SHAPE = constraint(parse_type({"answer": "str(20..400)"}))

SERVER = """
import asyncio, json, uvloop
from aiohttp import web
reply = {"role": "assistant", "content": json.dumps({"answer": "A sentence of some length about the harbour."})}
BODY = json.dumps({"id": "x", "object": "chat.completion",
                   "choices": [{"index": 0, "finish_reason": "stop", "message": reply}],
                   "usage": {"prompt_tokens": 80, "completion_tokens": 20, "total_tokens": 100}}).encode()
async def answer(request):
    await request.read()
    return web.Response(body=BODY, content_type="application/json")
async def models(request):
    return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
async def main():
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(600)
uvloop.install()
asyncio.run(main())
"""


def server() -> Iterator[Figure]:
    """Requests a second of the engine alone and of a whole run, against bare aiohttp with as many in flight."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        rounds = [(asyncio.run(_bare(url)), asyncio.run(_engine(url))) for _ in range(5)]
        bare, engine = (max(each) for each in zip(*rounds, strict=True))
        with tempfile.TemporaryDirectory() as folder:
            source = documents(Path(folder) / "documents.jsonl", ROWS)
            one = documents(Path(folder) / "one.jsonl", 1)
            idle = run(*_command(one, Path(folder) / "start", url)).seconds
            seconds = run(*_command(source, Path(folder) / "run", url)).seconds - idle
        yield Figure(f"openai engine alone, {ROWS:,} requests", engine, "req/s", bare, "bare aiohttp", ">= 0.9")
        name = f"  a whole run of {ROWS:,} rows, start-up taken off"
        yield Figure(name, ROWS / seconds, "req/s", bare, "bare aiohttp")
    finally:
        process.kill()
        process.wait()


async def _bare(url: str) -> float:
    """Requests a second of aiohttp alone, each the body that the engine sends, made beforehand."""
    import aiohttp
    import orjson

    body = orjson.dumps(openai_wire.body(_request(1), "m", "response_format", 1, 0))
    left = iter(range(ROWS))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WINDOW)) as session:

        async def work() -> None:
            for _ in left:
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    await response.json()

        began = time.monotonic()
        await asyncio.gather(*(work() for _ in range(WINDOW)))
        return ROWS / (time.monotonic() - began)


async def _engine(url: str) -> float:
    """Requests a second of synthkit's engine: bodies built, replies read, concurrency found while it runs."""
    engine = OpenAIConfig(openai="m", urls=[url], max_concurrency=WINDOW).build({})
    await engine.start()
    left = iter(range(ROWS))

    async def work() -> None:
        for number in left:
            await engine.complete(_request(number))

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(WINDOW)))
    seconds = time.monotonic() - began
    await engine.close()
    return ROWS / seconds


def _request(number: int) -> Request:
    message = Message("user", f"{number} " + "word " * 90)
    return Request((message,), ROLE, "writer", seed=number, constraint=SHAPE)


def _command(source: Path, out: Path, url: str) -> list[str]:
    sets = [f"vars.documents={source}", f"vars.url={url}"]
    arguments = ["-m", "synthkit", "run", str(SPECS / "served.yaml"), "--out", str(out), "--quiet"]
    return arguments + [part for pair in sets for part in ("--set", pair)]
