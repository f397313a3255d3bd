"""A loopback server that speaks the OpenAI protocol (chat and embeddings) and fails by plan.

Replies come from a script, so a run against it can be compared, row by row, with a run without faults. Which try of
which request fails, and how, is drawn from the request's content, the number of the try and a seed: not from timing,
so the same plan hits the same requests at any concurrency, and a retried request heals. `python -m
synthkit.testing.server` runs one alone, for benchmarks and for tests that kill the client.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import orjson
from aiohttp import web

from synthkit.core.engine import Constraint, Message, Request, Role, Sample
from synthkit.core.errors import EngineError, RequestRefused
from synthkit.core.ids import digest, seed
from synthkit.core.vector import from_text
from synthkit.testing.scripted import Function, ScriptedConfig, ScriptedEngine

Fault = Literal["500", "503", "429", "reset", "hang", "malformed", "truncated", "empty", "blank", "slow"]
"""`empty` has no choices, `blank` an empty text, `truncated` ends in mid-body, `slow` is late but well."""
FAULTS: tuple[Fault, ...] = ("500", "503", "429", "reset", "hang", "malformed", "truncated", "empty", "blank", "slow")


class FaultServer:
    """`async with FaultServer(rate=0.2) as server:` serves at `server.url` until the block ends."""

    def __init__(
        self,
        *,
        rate: float = 0.0,
        faults: Sequence[Fault] = FAULTS,
        seed: int = 0,
        reply: Function | None = None,
        latency: float = 0.0,
        slots: int = 0,
        refuse_above: int | None = None,
        retry_after: str = "0.05",
        hang: float = 60.0,
        native_n: bool = True,
        base64: bool = True,
        key: str | None = None,
        model: str | None = None,
        context: int | None = None,
        vocabulary: Sequence[str] = ("yes", "no", "true", "false", "supported", "unsupported", "1", "2", "3", "4", "5"),
        record: bool = True,
    ) -> None:
        """Each try fails with probability `rate` by one of `faults`.

        `reply` is a script as the scripted engine takes; `slots` and `latency` model an engine; more than
        `refuse_above` requests at once are answered 429 with `retry_after`; without `native_n` a request for several
        samples is refused; without `base64` vectors are sent as numbers; with `key`, `model` or `context` others are
        refused as real servers do; `vocabulary` are the tokens that log-probabilities are given for.
        """
        self.rate, self.faults, self.seed = rate, tuple(faults), seed
        self.refuse_above, self.retry_after, self.hang = refuse_above, retry_after, hang
        self.base64 = base64
        self.native_n, self.key, self.model, self.vocabulary = native_n, key, model, tuple(vocabulary)
        config = ScriptedConfig(latency=latency, slots=slots, context=context, record=record)
        self.engine = ScriptedEngine(config, reply)
        self.counts: Counter[str] = Counter()
        """Answers by kind: `ok`, a fault's name, `refused` (429 of `refuse_above`), a status."""
        self.tries: Counter[str] = Counter()
        """Tries by request content."""
        self.in_flight = 0
        self.most = 0
        """Most requests that were here at once."""
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> Self:
        """Listen on the loopback interface; port 0 is any free one."""
        app = web.Application(client_max_size=1 << 26)
        for way in ("chat/completions", "embeddings"):
            app.router.add_post(f"/v1/{way}", self._chat)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def stop(self) -> None:
        """Close all connections; the port is free again."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        """Start on any port."""
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def _models(self, request: web.Request) -> web.Response:
        if not self._known(request):
            return _error(401, f"Incorrect API key provided: {request.headers.get('Authorization', '')[7:]}")
        return _json({"object": "list", "data": [{"id": self.model or "scripted", "object": "model"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = orjson.loads(await http.read())
        refused = self._refuse(http, body)
        if refused is not None:
            self.counts[str(refused.status) if refused.status != 429 else "refused"] += 1
            return refused
        fault = self._fault(body)
        if fault is not None:
            self.counts[fault] += 1
            if fault == "slow":
                await asyncio.sleep(0.05)
            else:
                return await self._fail(fault, http)
        try:
            payload = await self._payload(_request(body, self.vocabulary), body)
        except RequestRefused as error:
            self.counts["400"] += 1
            return _error(400, f"This model's maximum context length is exceeded: {error}", "context_length_exceeded")
        except EngineError as error:
            self.counts["400"] += 1
            return _error(400, str(error))
        self.counts["ok"] += 1
        return _json(payload)

    def _known(self, http: web.Request) -> bool:
        return self.key is None or http.headers.get("Authorization") == f"Bearer {self.key}"

    def _refuse(self, http: web.Request, body: Mapping[str, Any]) -> web.Response | None:
        """What a healthy server answers to a request it does not take."""
        if not self._known(http):
            return _error(401, f"Incorrect API key provided: {http.headers.get('Authorization', '')[7:]}")
        if self.model is not None and body["model"] != self.model:
            return _error(404, f"The model `{body['model']}` does not exist.", "model_not_found")
        if not self.native_n and body.get("n", 1) > 1:
            return _error(400, "n must be 1 for this server")
        if self.refuse_above is not None and self.in_flight > self.refuse_above:
            return _error(
                429, "too many requests", headers={"Retry-After": self.retry_after} if self.retry_after else {}
            )
        return None

    def _fault(self, body: Mapping[str, Any]) -> Fault | None:
        """What goes wrong with this try of this request, if anything."""
        if not self.rate:
            return None
        name = digest(body)
        self.tries[name] += 1
        drawn = seed(self.seed, name, self.tries[name])
        if drawn / (1 << 31) >= self.rate:
            return None
        return self.faults[seed("kind", drawn) % len(self.faults)]

    async def _fail(self, fault: Fault, http: web.Request) -> web.StreamResponse:
        if fault == "429":
            return _error(429, "slow down", headers={"Retry-After": self.retry_after})
        if fault in ("500", "503"):
            return _error(int(fault), "something broke")
        if fault == "malformed":
            return web.Response(body=b'{"choices": [{"message": ', content_type="application/json")
        if fault == "empty":
            return _json({"id": "x", "object": "chat.completion", "choices": []})
        if fault == "blank":
            choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
            return _json({"id": "x", "object": "chat.completion", "choices": [choice]})
        if fault == "hang":
            await asyncio.sleep(self.hang)
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        if fault == "truncated":
            await response.prepare(http)
            await response.write(b'{"choices": [{"message": {"role": "assistant", "con')
        if http.transport is not None:
            http.transport.abort()
        return response

    async def _payload(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a healthy reply."""
        completion = await self.engine.complete(request)
        if request.embed:
            text = completion.samples[0].text
            vector = text if body.get("encoding_format") == "base64" and self.base64 else from_text(text)
            data = [{"object": "embedding", "index": 0, "embedding": vector}]
            told = {"prompt_tokens": completion.usage.prompt, "total_tokens": completion.usage.prompt}
            return {"object": "list", "model": request.model, "data": data, "usage": told}
        choices = [_choice(index, sample) for index, sample in enumerate(completion.samples)]
        usage = completion.usage
        told = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion}
        return {"id": "x", "object": "chat.completion", "model": request.model, "choices": choices, "usage": told}


def _request(body: Mapping[str, Any], vocabulary: tuple[str, ...]) -> Request:
    """The request that the body stands for; its labels are all tokens the server knows."""
    if "input" in body:
        text = Message("user", body["input"])
        return Request((text,), Role(engine="scripted"), body["model"], embed=True)
    role = Role(engine="scripted", temperature=body.get("temperature", 1.0), max_tokens=body.get("max_tokens", 1024))
    constraint: Constraint | None = None
    form = body.get("response_format") or {}
    own = body.get("structured_outputs") or {}
    if form.get("type") == "json_schema":
        constraint = Constraint("json", form["json_schema"]["schema"])
    elif own:
        ((kind, value),) = own.items()
        constraint = Constraint(kind, value)
    elif "regex" in body:
        constraint = Constraint("regex", body["regex"])
    return Request(
        messages=tuple(Message(each["role"], each["content"]) for each in body["messages"]),
        role=role,
        model=body["model"],
        n=body.get("n", 1),
        seed=body.get("seed"),
        constraint=constraint,
        labels=vocabulary if body.get("logprobs") else (),
    )


def _choice(index: int, sample: Sample) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": sample.text}
    if sample.reasoning is not None:
        message["reasoning_content"] = sample.reasoning
    choice: dict[str, Any] = {"index": index, "message": message, "finish_reason": sample.finish}
    if sample.label_logprobs is not None:
        top = [{"token": token, "logprob": value} for token, value in sample.label_logprobs.items()]
        choice["logprobs"] = {"content": [{"token": sample.text, "logprob": 0.0, "top_logprobs": top}]}
    return choice


def _json(payload: Any) -> web.Response:
    return web.Response(body=orjson.dumps(payload), content_type="application/json")


def _error(status: int, message: str, code: str = "error", headers: Mapping[str, str] | None = None) -> web.Response:
    payload = {"error": {"message": message, "type": "invalid_request_error", "code": code}}
    return web.Response(
        status=status, body=orjson.dumps(payload), content_type="application/json", headers=dict(headers or {})
    )


def main() -> None:
    """Serve until killed, having printed the URL."""
    import argparse

    parser = argparse.ArgumentParser(description="A scripted server that speaks the OpenAI chat protocol.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0, help="share of the tries that fail")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds for each sample")
    parser.add_argument("--slots", type=int, default=0, help="samples at once; 0 is without end")
    parser.add_argument("--text", help="reply this text to everything")
    given = parser.parse_args()
    text: str | None = given.text
    reply: Function | None = None if text is None else lambda request: text

    async def serve() -> None:
        options = {"rate": given.rate, "seed": given.seed, "latency": given.latency, "slots": given.slots}
        server = await FaultServer(reply=reply, record=False, **options).start(given.port)
        print(server.url, flush=True)
        await asyncio.Event().wait()

    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())


if __name__ == "__main__":
    main()
