"""vLLM's asynchronous engine in this process; the only file that imports vLLM.

Requests reach the engine core as token ids over its own socket, with no HTTP between; the chat template is applied
here. Each replica is an engine core process of its own, watched so that it dies with this one (see `reaper`). A
request costs 0.20 to 0.26 ms of CPU more than bare AsyncLLM given ready tokens, 0.14 of it for template and
tokenising; throughput on a model of 0.4M parameters was 0.96 of bare (medians of two times 7 interleaved pairs, 512
requests of 64 tokens, busy shared cores: 0.55 to 1.7).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from synthkit.core.engine import Completion, Load, Request, Role
from synthkit.core.errors import EngineDead, EngineError, RequestRefused
from synthkit.engines import vllm_core as core
from synthkit.engines.devices import DEVICES
from synthkit.engines.loading import load_all
from synthkit.engines.reaper import Reaper, deaf_to_interrupts
from synthkit.engines.replicas import choose
from synthkit.engines.vllm_args import CPU_ENVIRONMENT, ENVIRONMENT, Installed, engine_arguments, installed
from synthkit.engines.vllm_config import VllmConfig
from synthkit.engines.vllm_replies import completion

_LOG = logging.getLogger(__name__)
_TOKENIZE_IN_THREAD = 8192
"""Characters above which tokenising leaves the event loop; below, a thread costs more than the work."""


@dataclass
class _Replica:
    """One engine core and what it has to do."""

    engine: Any
    sequences: int
    """Samples it works on at once."""
    outstanding: int = 0
    alive: bool = True


class VllmEngine:
    """One or more vLLM engine cores that serve the same model."""

    def __init__(self, config: VllmConfig, roles: Mapping[str, Role]) -> None:
        """Imports nothing yet; `start` does."""
        self.config = config
        self.roles = roles
        self._replicas: list[_Replica] = []
        self._gpus: Sequence[int | str] = ()
        self._reaper = Reaper()
        self._numbers = count()
        self._adapters: dict[str, Any] = {}
        self._tokenizer: Any = None
        self._template: Any = None
        self._context = 0
        self._refusals: tuple[type[Exception], ...] = (ValueError, TypeError)

    @property
    def _sequences(self) -> int:
        return sum(replica.sequences for replica in self._replicas if replica.alive)

    @property
    def window(self) -> int:
        """A quarter more than fits the batch, so that the scheduler always has the next request at hand."""
        return max(1, self._sequences * 5 // 4)

    async def start(self) -> None:
        """Load the model once per replica: about 10 s for a small one on a CPU."""
        found = installed()
        for name, value in (ENVIRONMENT | (CPU_ENVIRONMENT if found.cpu else {})).items():
            os.environ.setdefault(name, value)
        logging.getLogger("vllm").setLevel(logging.ERROR)  # it warns before it reads its own variable
        try:
            with self._reaper, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                await self._load(found)
            self._prepare()
        except BaseException as error:
            await self.close()
            if isinstance(error, EngineError) or not isinstance(error, Exception):
                raise
            raise EngineError(f"vllm: {self.config.vllm!r} did not start: {error}") from error

    async def complete(self, request: Request) -> Completion:
        """Ask the replica that suits; when its engine core dies, another one."""
        from vllm.v1.engine.exceptions import EngineDeadError

        if not self._replicas:
            raise EngineError(f"vllm: {self.config.vllm!r} is not running")
        if request.embed != self.config.embed:
            way = "to embed texts" if self.config.embed else "to write; `embed: true` loads it to embed texts"
            raise RequestRefused(f"vllm: {self.config.vllm!r} was loaded {way}")
        tokens, prefix = await self._prompt(request)
        labels = self._label_tokens(request)
        copies = request.n if request.role.temperature == 0 or labels else 1
        params = self._sampling(request, labels, 1 if copies > 1 else request.n)
        while True:
            outstanding = [replica.outstanding for replica in self._replicas]
            alive = [replica.alive for replica in self._replicas]
            index = choose(outstanding, alive, prefix, slack=max(8, self._replicas[0].sequences // 8))
            if index is None:
                raise EngineDead(f"vllm: the engine core of {self.config.vllm!r} died; its log says why")
            replica = self._replicas[index]
            replica.outstanding += request.n
            try:
                output = await self._generate(replica.engine, tokens, params, request)
            except EngineDeadError:
                self._buried(replica)
                continue
            finally:
                replica.outstanding -= request.n
            return completion(request, output, labels, copies)

    def count_tokens(self, text: str) -> int:
        """Tokens by the model's tokenizer."""
        if self._tokenizer is None:
            raise EngineError(f"vllm: {self.config.vllm!r} is not running, so its tokenizer is not loaded")
        return len(self._encode(text))

    def load(self) -> Load:
        """Samples in the batch and beyond it, as counted here."""
        outstanding = sum(replica.outstanding for replica in self._replicas)
        running = min(outstanding, self._sequences)
        return Load(running, outstanding - running)

    async def close(self) -> None:
        """Stop the engine cores; kill those that do not stop."""
        replicas, self._replicas = self._replicas, []
        self._tokenizer = self._template = None
        for replica in replicas:  # or the task that reads a core's replies may report that its core was killed
            if (handler := getattr(replica.engine, "output_handler", None)) is not None:
                handler.cancel()
        await asyncio.gather(*(asyncio.to_thread(core.shut_down, replica.engine) for replica in replicas))
        await asyncio.to_thread(self._reaper.close)
        DEVICES.give_back(self._gpus)
        self._gpus = ()

    def _buried(self, replica: _Replica) -> None:
        """Leave a dead engine core out, and say so once; without this a run would just be slower."""
        if replica.alive:
            replica.alive = False
            left, all_ = sum(each.alive for each in self._replicas), len(self._replicas)
            if left:
                _LOG.warning(
                    "an engine core of %r died; %d of %d are left and take its requests", self.config.vllm, left, all_
                )

    async def _load(self, found: Installed) -> None:
        """All replicas; when this is cancelled, none is left, neither loaded nor loading."""
        stopping = threading.Event()

        def interrupt() -> None:
            stopping.set()
            self._reaper.kill()  # a core cannot be asked while it loads; without it vLLM gives up waiting

        def load(index: int) -> Any:
            if not index and not found.cpu:
                self._gpus = core.take_gpus(self.config)
            return _load(self.config, self.roles, found, index, stopping, self._gpus)

        engines = await load_all(load, self.config.replicas, interrupt, core.shut_down)
        self._replicas = [_Replica(engine, core.sequences(engine.vllm_config)) for engine in engines]

    def _prepare(self) -> None:
        """Take what requests need from the first replica."""
        import vllm.exceptions
        from vllm.lora.request import LoRARequest

        first = self._replicas[0].engine
        self._tokenizer = first.get_tokenizer()
        if not self.config.embed and getattr(self._tokenizer, "chat_template", None) is None:
            raise EngineError(f"vllm: {self.config.vllm!r} has no chat template; use an instruct model")
        self._context = first.vllm_config.model_config.max_model_len
        self._refusals = (ValueError, TypeError, getattr(vllm.exceptions, "VLLMClientError", ValueError))
        self._adapters = {
            name: LoRARequest(name, number, path) for number, (name, path) in enumerate(self.config.loras.items(), 1)
        }
        for name, role in self.roles.items():
            if role.lora is not None and role.lora not in self._adapters:
                known = ", ".join(self._adapters) or "none"
                raise EngineError(f"models.{name}: no adapter {role.lora!r} in `loras` of its engine (there: {known})")

    async def _prompt(self, request: Request) -> tuple[list[int], str]:
        """The token ids of the conversation, and its first text for the choice of a replica."""
        if request.embed:
            text = request.messages[0].content
        else:
            text = self._conversation(request)
        far = len(text) > _TOKENIZE_IN_THREAD
        encode = partial(self._encode, special=request.embed)
        tokens = await asyncio.to_thread(encode, text) if far else encode(text)
        if len(tokens) >= self._context + request.embed:  # a vector takes no room
            what = "the text" if request.embed else "the prompt"
            takes = f"{self._context}" if request.embed else f"{self._context} with the reply"
            raise RequestRefused(f"{what} has {len(tokens)} tokens, {self.config.vllm!r} takes {takes}", "too long")
        return tokens, text

    def _conversation(self, request: Request) -> str:
        """The messages by the model's chat template."""
        thinking = False if request.labels else request.role.thinking
        options = {} if thinking is None else {"enable_thinking": thinking, "thinking": thinking}
        text: str = self._tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in request.messages],
            tokenize=False,
            add_generation_prompt=True,
            **options,
        )
        return text

    def _encode(self, text: str, special: bool = False) -> list[int]:
        """Token ids; `special`: with what the tokenizer puts around a text, as embedding models are trained."""
        fast = getattr(self._tokenizer, "backend_tokenizer", None)
        if fast is not None:
            ids: list[int] = fast.encode(text, add_special_tokens=special).ids
            return ids
        return list(self._tokenizer.encode(text, add_special_tokens=special))

    def _label_tokens(self, request: Request) -> dict[str, int]:
        found: dict[str, int] = {}
        for label in request.labels:
            tokens = self._encode(label)
            if len(tokens) != 1:
                parts = ", ".join(repr(self._tokenizer.decode([token])) for token in tokens)
                raise RequestRefused(
                    f"label {label!r} is {len(tokens)} tokens for {self.config.vllm!r} ({parts}); use one-token labels",
                    "label",
                )
            found[label] = tokens[0]
        return found

    def _sampling(self, request: Request, labels: Mapping[str, int], n: int) -> Any:
        """Everything about sampling, as vLLM wants it."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        role, kind = request.role, RequestOutputKind.FINAL_ONLY
        try:
            if request.embed:
                from vllm.pooling_params import PoolingParams

                return PoolingParams(task="embed", **role.extra)
            if labels:
                ids = list(dict.fromkeys(labels.values()))
                return SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=ids, output_kind=kind)
            constraint = None
            if request.constraint is not None:
                value = request.constraint.value
                choices = request.constraint.kind == "choice"
                constraint = StructuredOutputsParams(**{request.constraint.kind: list(value) if choices else value})
            options = {
                "n": n,
                "seed": request.seed,
                "temperature": role.temperature,
                "top_p": role.top_p,
                "top_k": role.top_k,
                "min_p": role.min_p,
                "max_tokens": role.max_tokens,
                "stop": list(role.stop) or None,
                "presence_penalty": role.presence_penalty,
                "frequency_penalty": role.frequency_penalty,
                "repetition_penalty": role.repetition_penalty,
                "structured_outputs": constraint,
                "output_kind": kind,
            }
            return SamplingParams(**(options | role.extra))
        except self._refusals as error:
            raise RequestRefused(f"vLLM does not take this request: {error}") from error

    async def _generate(self, engine: Any, tokens: list[int], params: Any, request: Request) -> Any:
        """The final output; vLLM aborts the request when this is cancelled."""
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        adapter = self._adapters[request.role.lora] if request.role.lora else None
        # `encode` is how vLLM names embedding; only `generate` knows of thoughts.
        ended = (
            {} if request.embed else {"reasoning_ended": None if request.role.thinking and not request.labels else True}
        )
        stream = (engine.encode if request.embed else engine.generate)(
            {"type": "token", "prompt_token_ids": tokens},
            params,
            f"synthkit-{next(self._numbers)}",
            lora_request=adapter,
            priority=request.priority,
            **ended,
        )
        final = None
        try:
            async for output in stream:
                final = output
        except EngineGenerateError as error:
            if engine.errored:
                raise EngineDeadError from error
            raise RequestRefused(f"vLLM failed on this request: {error.__cause__ or error}") from error
        except self._refusals as error:
            raise RequestRefused(f"vLLM refused this request: {error}") from error
        return final


def _load(
    config: VllmConfig,
    roles: Mapping[str, Role],
    found: Installed,
    index: int,
    stopping: threading.Event,
    gpus: Sequence[int | str],
) -> Any:
    """One engine, with its core process loaded and ready; blocks. EngineError once it is `stopping`."""
    with deaf_to_interrupts():
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = engine_arguments(config, roles, found, index, set(AsyncEngineArgs.__dataclass_fields__), gpus)
        if stopping.is_set():
            raise EngineError("stopped before it was loaded")
        # Batch sizes go by the context: AsyncLLM's own is in no table, which means 128 sequences and 2,048 tokens a
        # step on any GPU; as `LLM` an H100 takes 1,024 and 16,384 (0.19 to 0.32). A CPU keeps what was measured.
        context = UsageContext.ENGINE_CONTEXT if found.cpu else UsageContext.LLM_CLASS
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), usage_context=context)
