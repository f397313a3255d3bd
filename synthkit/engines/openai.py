"""Any server that speaks the OpenAI protocol (chat and embeddings), over aiohttp and orjson.

The usual SDKs cost 10 to 30 times the CPU. Here a request of 2 KB takes 0.21 ms of it, bare aiohttp 0.13 to 0.18 (two
busy shared cores), so a core holds about 4,700 requests/s. One fault is one try of one request: it is retried with
growing, jittered pauses, then its row stays pending. Connections idle for 3 s are closed, for vLLM's server closes
them after 5 s, and using one it is about to close is a reset.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import aiohttp
import orjson

from synthkit.core.engine import Completion, Load, Request, Usage
from synthkit.core.errors import EngineDead, EngineError, RequestRefused, TransportError
from synthkit.engines.openai_config import OpenAIConfig
from synthkit.engines.openai_wire import Answer, Faulty, body, message_of, read, refusal, rest_of
from synthkit.engines.servers import Server, Servers

_KEEP_ALIVE = 3.0
_CONNECT = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 20.0
_REFUSALS = 100
"""Times one request may meet 429 or 503."""
_EMPTY = 2
"""Times an empty reply is asked again before it is believed."""
_START_TRIES = 3
_ABOUT_N = re.compile(
    r"\bn\b\W*(?:=|>|must|should|parameter|is not|cannot|can only)|`n`|'n'|multiple (?:choices|completions)"
)
_ABOUT_FORMAT = re.compile(r"response_format|json_schema|structured output", re.IGNORECASE)
_LOG = logging.getLogger(__name__)


class OpenAIEngine:
    """One model behind one or more servers."""

    def __init__(self, config: OpenAIConfig) -> None:
        """Opens nothing; `start` does."""
        self.config = config
        self.servers = Servers(config.urls, config.max_concurrency, config.patience)
        self._session: aiohttp.ClientSession | None = None
        self._secret: str | None = None
        self._count: Callable[[str], int] | None = None

    @property
    def window(self) -> int:
        """What the servers together were found to take."""
        return self.servers.window

    async def start(self) -> None:
        """Read the key, and see which servers answer; one is enough."""
        if self.config.tokenizer is not None:
            from synthkit.core.tokens import load_tokenizer

            self._count = load_tokenizer(self.config.tokenizer)
        self._secret = self.config.secret()
        headers = {"Content-Type": "application/json"}
        if self._secret is not None:
            headers["Authorization"] = f"Bearer {self._secret}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),  # looking for cookies takes a tenth of a request's time
            timeout=aiohttp.ClientTimeout(total=self.config.timeout, sock_connect=_CONNECT),
            headers=headers,
        )
        try:
            said = await asyncio.gather(*(self._greet(server) for server in self.servers.all))
            if all(word is not None for word in said):
                reasons = "; ".join(
                    f"{server.url}: {word}" for server, word in zip(self.servers.all, said, strict=True)
                )
                raise EngineError(f"openai: no server can be used ({reasons}); start it, or mend `urls` and `key`")
        except BaseException:
            await self.close()
            raise

    async def complete(self, request: Request) -> Completion:
        """Ask until `n` samples are there; servers that give one at a time are asked several times.

        What those answered is kept when one of the requests fails: see `Completion.failure`.
        """
        if self._session is None:
            raise EngineError(f"openai: {self.config.openai!r} is not started")
        self._check_labels(request)
        if request.n > 1 and (request.role.temperature == 0 or request.labels):
            # Greedy samples are all the same, and vLLM's server refuses to give more than one.
            answer = await self._ask(request, 1, 0)
            return Completion(answer.samples[:1] * request.n, answer.usage)
        first = await self._ask(request, request.n, 0)
        if request.n == 1:
            return Completion(first.samples[:1], first.usage)
        answers, failure = [first], None
        missing = range(len(first.samples), request.n)
        if missing:
            tasks = [asyncio.ensure_future(self._ask(request, 1, index)) for index in missing]
            try:
                for told in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(told, Answer):
                        answers.append(told)
                    elif isinstance(told, EngineError):
                        failure = failure or told
                    else:
                        raise told
            finally:
                for task in tasks:
                    task.cancel()
        samples = tuple(sample for answer in answers for sample in answer.samples)[: request.n]
        usage = Usage(
            prompt=first.usage.prompt,
            cached=first.usage.cached,
            completion=sum(answer.usage.completion for answer in answers),
        )
        return Completion(samples, usage, failure)

    def count_tokens(self, text: str) -> int:
        """Tokens by the configured tokenizer; a quarter of the bytes where there is none."""
        return self._count(text) if self._count is not None else (len(text.encode()) + 3) // 4

    def load(self) -> Load:
        """HTTP requests sent and waiting."""
        return self.servers.load()

    async def close(self) -> None:
        """Close the connections; requests that wait fail."""
        self.servers.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, request: Request, n: int, index: int) -> Answer:
        """One answer, through as many tries as it takes and is allowed; it may hold fewer than `n` samples."""
        faults = refusals = empty = 0
        prefix = request.messages[0].content
        loop = asyncio.get_running_loop()
        while True:
            server = await self.servers.take(request.priority, prefix)
            sent = loop.time()
            asked = n if server.native_n else 1
            try:
                status, headers, raw = await self._post(server, request, asked, index)
                answer = read(request, orjson.loads(raw)) if status == 200 else None
            except asyncio.CancelledError:
                self.servers.dropped(server)
                raise
            except RequestRefused:
                self.servers.heard(server)
                raise
            except (Faulty, orjson.JSONDecodeError, aiohttp.ClientError, TimeoutError, OSError) as error:
                self.servers.failed(server)
                faults += 1
                await self._pause(faults, _in_words(error), server)
                continue
            if answer is not None:
                size = answer.usage.completion or len(answer.samples)
                self.servers.answered(server, sent, size)
                if answer.empty and empty < _EMPTY:
                    empty += 1
                    continue
                if len(answer.samples) < asked:
                    server.native_n = False
                return answer
            text = self._clean(raw.decode(errors="replace"))
            if status in (429, 503) and "insufficient_quota" not in text:
                rest = rest_of(headers.get("Retry-After"))
                self.servers.overloaded(server, sent, rest)
                refusals += 1
                if refusals > _REFUSALS:
                    raise TransportError(
                        f"{server.url} refused this request {refusals} times ({status}): {message_of(text)}"
                    )
                await asyncio.sleep(_backoff(refusals) if rest is None else 0.1 * random.random())
            elif status in (408, 409, 425) or status >= 500:
                self.servers.failed(server)
                faults += 1
                await self._pause(faults, f"status {status}: {message_of(text)}", server)
            else:
                self._refused(server, status, text, asked)

    async def _post(self, server: Server, request: Request, n: int, index: int) -> tuple[int, Any, bytes]:
        structured = self.config.structured
        if structured == "auto":
            structured = "response_format" if server.constrains else "none"
        made = body(request, self.config.openai, structured, n, index) | self.config.extra
        text = orjson.dumps({name: value for name, value in made.items() if value is not None})
        # aiohttp writes bytes at one go, which it warns about above a megabyte; a file goes in pieces.
        data = BytesIO(text) if len(text) > 1 << 20 else text
        assert self._session is not None
        way = "embeddings" if request.embed else "chat/completions"
        async with self._session.post(f"{server.url}/{way}", data=data) as response:
            return response.status, response.headers, await response.read()

    def _refused(self, server: Server, status: int, text: str, n: int) -> None:
        """A 4xx: learn what the server cannot do and return, or raise what it means."""
        if status in (400, 422) and n > 1 and server.native_n and _ABOUT_N.search(message_of(text)):
            server.native_n = False
            self.servers.heard(server)
            return
        if (
            status in (400, 422)
            and self.config.structured == "auto"
            and server.constrains
            and _ABOUT_FORMAT.search(text)
        ):
            _LOG.warning("%s takes no response_format; replies are only parsed: %s", server.url, message_of(text))
            server.constrains = False
            self.servers.heard(server)
            return
        if status in (401, 403, 404, 405) or "insufficient_quota" in text:
            server.gone = _gone(status, self.config.openai, message_of(text))
            self.servers.heard(server)
            dead = self.servers.dead()
            if dead is not None:
                raise dead
            return
        self.servers.heard(server)
        raise refusal(status, text)

    async def _pause(self, faults: int, problem: str, server: Server) -> None:
        """Wait before the next try; TransportError after the last."""
        dead = self.servers.dead()
        if dead is not None:
            raise EngineDead(f"{dead} (last: {problem})")
        if faults > self.config.retries:
            raise TransportError(f"{faults} tries failed, the last at {server.url}: {problem}")
        await asyncio.sleep(_backoff(faults))

    async def _greet(self, server: Server) -> str | None:
        """Why the server cannot be used; None where it answers."""
        assert self._session is not None
        problem = ""
        timeout = aiohttp.ClientTimeout(total=_CONNECT)
        for attempt in range(_START_TRIES):
            await asyncio.sleep(attempt * _FIRST_PAUSE)
            try:
                async with self._session.get(f"{server.url}/models", timeout=timeout) as response:
                    text = self._clean(await response.text(errors="replace"))
                    if response.status in (401, 403):
                        server.gone = _gone(response.status, self.config.openai, message_of(text))
                    return server.gone
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = _in_words(error)
        for _ in range(_START_TRIES + 2):
            server.limit.sent()
            self.servers.failed(server)
        return problem

    def _check_labels(self, request: Request) -> None:
        for label in request.labels if self._count is not None else ():
            if self.count_tokens(label) != 1:
                raise RequestRefused(
                    f"label {label!r} is {self.count_tokens(label)} tokens for {self.config.tokenizer!r}; "
                    "use one-token labels",
                    "label",
                )

    def _clean(self, text: str) -> str:
        """Without the key, which some servers echo."""
        return text.replace(self._secret, "***") if self._secret else text


def _backoff(times: int) -> float:
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (times - 1)) * (0.5 + random.random())


def _in_words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, orjson.JSONDecodeError):
        return f"the reply is not JSON: {error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"nobody answers there: {os.strerror(error.errno) if error.errno else error.os_error}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _gone(status: int, model: str, text: str) -> str:
    if status in (401, 403):
        return f"the key was not accepted ({status}): {text}"
    if status == 429:
        return f"the account's quota is used up: {text}"
    return f"it does not serve {model!r} at this URL ({status}): {text}"
