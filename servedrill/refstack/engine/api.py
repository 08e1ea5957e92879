"""The engine's API server: vLLM's routes over one core."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid

import msgspec
from aiohttp import web

from servedrill.refstack import wire
from servedrill.refstack.config import Stack
from servedrill.refstack.engine import messages as m
from servedrill.refstack.engine.core_link import CoreLink
from servedrill.refstack.engine.frames import Frames
from servedrill.refstack.engine.logprobs import in_frame, in_whole
from servedrill.refstack.engine.metrics import EngineMetrics
from servedrill.refstack.engine.open_request import OpenRequest
from servedrill.refstack.engine.openai import ChatRequest, CompletionRequest
from servedrill.refstack.engine.readiness import EngineState
from servedrill.refstack.engine.tokens import tokenize
from servedrill.refstack.engine.validation import Refused
from servedrill.refstack.policies import Policies

log = logging.getLogger("refstack")


class EngineAPI:
    """Routes, open requests and state of one engine."""

    def __init__(self, stack: Stack, name: str, policies: Policies) -> None:
        self.stack, self.name = stack, name
        self.policies = policies
        self.validation = policies.make("validation", stack.engine_limits)
        self.admission = policies.make("engine_admission", stack.engine_limits)
        self.abort = policies.make("engine_abort")
        self.readiness = policies.make("readiness", stack.health_stall_s)
        self.drain = policies.make("engine_drain", stack.drain_grace_s)
        self.metrics = EngineMetrics(
            model_name=stack.alias, blocks=stack.engine_limits.blocks, block_tokens=stack.engine_limits.block_tokens
        )
        self.state = EngineState()
        self.model = stack.model(stack.serves)
        self.adapters: dict[str, str] = {}
        self.open: dict[str, OpenRequest] = {}
        self.link: CoreLink
        self.stopped = asyncio.Event()
        self.exit_code = 0

    # ---- the core's side

    def on_step(self, step: m.Step) -> None:
        """Hand the tokens of a step to their requests and take over the gauges; a request that is gone is skipped."""
        now = time.monotonic()
        for token in step.tokens:
            request = self.open.get(token.id)
            if request is None:
                continue
            last = request.last[token.choice]
            if last is None:
                request.first = request.first or now
                self.metrics.ttft.observe(now - request.began)
            else:
                self.metrics.itl.observe(now - last)
            request.last[token.choice] = now
            request.put(token)
        if step.stats is not None:
            self.metrics.set_stats(step.stats)
            self.state.sleeping = step.stats.sleeping > 0

    def on_ready(self, ready: m.Ready) -> None:
        """The core got further with loading, or failed."""
        self.state.loaded, self.state.warm, self.state.load_failed = ready.loaded, ready.warm, bool(ready.error)
        log.info("loaded=%s warm=%s %s", ready.loaded, ready.warm, ready.error or ready.version)

    def on_death(self) -> None:
        """The core is gone: every open request fails, and the process ends where the policy says so."""
        log.error("the core is gone; %d requests open", len(self.open))
        self.state.core_alive = False
        for request in self.open.values():
            request.fail(500, "the engine's core has died", "engine_dead")
        if self.readiness.exits_on_core_death():
            self.exit_code = 1
            asyncio.get_running_loop().call_later(0.2, self.stopped.set)

    # ---- answers

    def headers(self, request_id: str) -> dict[str, str]:
        """The headers of every answer: request id, process, names served."""
        return {
            wire.REQUEST_ID: request_id,
            wire.SERVED_BY: f"{self.name}/{os.getpid()}",
            wire.MODELS: ",".join([self.model.version if self.model else "", *self.adapters]),
        }

    def refuse(
        self,
        status: int,
        message: str,
        *,
        code: str,
        request_id: str,
        retry_after_s: int | None = None,
        param: str | None = None,
    ) -> web.Response:
        """An error of the one schema."""
        headers = self.headers(request_id)
        if retry_after_s is not None:
            headers["retry-after"] = str(retry_after_s)
        body = msgspec.json.encode(wire.error_object(status, message, code=code, request_id=request_id, param=param))
        return web.Response(status=status, body=body, headers=headers, content_type="application/json")

    async def generate(self, http: web.Request) -> web.StreamResponse:
        """Both completion routes."""
        chat = http.path == "/v1/chat/completions"
        request_id = http.headers.get(wire.REQUEST_ID) or uuid.uuid4().hex
        try:
            data = await http.read()
            body = _decode(data, chat=chat)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self.refuse(400, str(error), code="invalid_body", request_id=request_id)
        refusal = self.unavailable(request_id)
        if refusal is not None:
            return refusal
        try:
            submit = self.accept(body, chat=chat, request_id=request_id)
        except Refused as refused:
            return self.refuse(
                refused.status, refused.message, code=refused.code, param=refused.param, request_id=request_id
            )
        if not self.admission.admits(open_sequences=sum(r.n for r in self.open.values()), new_sequences=body.n):
            self.metrics.queue_full()
            return self.refuse(
                503,
                "the engine's queue is full",
                code="queue_full",
                request_id=request_id,
                retry_after_s=self.admission.retry_after_s(),
            )
        request = OpenRequest(submit.id, n=body.n, prompt_tokens=len(submit.prompt), adapter=submit.adapter)
        self.open[submit.id] = request
        self.link.send(submit)
        try:
            if body.stream:
                response: web.StreamResponse = await self.answer_streaming(
                    http, request, body, chat=chat, request_id=request_id
                )
            else:
                response = await self.answer_whole(request, body, chat=chat, request_id=request_id)
            self.metrics.ended(request)
            return response
        except (asyncio.CancelledError, ConnectionError) as gone:
            self.abort.on_disconnect(
                submit.id,
                route="chat" if chat else "completions",
                stream=body.stream,
                n=body.n,
                tokens_sent=request.generated,
                abort=lambda request_id: self.link.send(m.Abort(ids=[request_id])),
            )
            raise asyncio.CancelledError from gone  # a client that hung up while it was written to is no error of ours
        finally:
            del self.open[submit.id]

    def unavailable(self, request_id: str) -> web.Response | None:
        """The refusal of an engine that takes no requests now, or None."""
        state = self.current_state()
        if state.draining and self.drain.refuses_new():
            response = self.refuse(
                503, "the engine is draining", code="draining", request_id=request_id, retry_after_s=1
            )
            response.force_close()
            return response
        if not state.core_alive:
            return self.refuse(500, "the engine's core has died", code="engine_dead", request_id=request_id)
        if state.swapping or state.sleeping or not (state.warm or self.readiness.ready(state)):
            return self.refuse(503, "the model is not loaded", code="loading", request_id=request_id, retry_after_s=1)
        return None

    def accept(self, body: ChatRequest | CompletionRequest, *, chat: bool, request_id: str) -> m.Submit:
        """Check the request and put it in the core's words. Raises `Refused`."""
        assert self.model is not None
        if body.model != self.model.version and body.model not in self.adapters:
            raise Refused(
                404,
                f"no model {body.model!r} here; there are {self.headers('')[wire.MODELS]}",
                code="model_not_found",
                param="model",
            )
        if body.seed is not None and not -(1 << 63) <= body.seed < 1 << 63:
            raise Refused(400, "seed does not fit into 64 bits", code="invalid_seed", param="seed")
        prompt, continues = body.tokens(tokenize)
        max_tokens = self.validation.check(
            route="chat" if chat else "completions",
            prompt_tokens=len(tokenize(" ".join(prompt))) if prompt else 0,
            max_tokens=body.output_limit,
            n=body.n,
            temperature=body.temperature,
            top_p=body.top_p,
            model=self.model,
        )
        return m.Submit(
            id=f"{request_id}/{uuid.uuid4().hex[:8]}",
            model=body.model,
            prompt=prompt,
            n=body.n,
            max_tokens=max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            seed=body.seed or 0,
            ignore_eos=body.ignore_eos,
            stop=body.stops,
            logprobs=body.wants_logprobs,
            adapter=self.adapters.get(body.model, ""),
            continues=continues,
        )

    def frames(self, model: str, adapter: str, *, chat: bool, request_id: str) -> Frames:
        """The frames of one answer; the fingerprint names the version and the adapter's revision."""
        assert self.model is not None
        version = f"{self.model.version}+{adapter}" if adapter else self.model.version
        frames: Frames = self.policies.make(
            "frames", request_id=request_id, route="chat" if chat else "completions", model=model, version=version
        )
        return frames

    async def answer_streaming(
        self,
        http: web.Request,
        request: OpenRequest,
        body: ChatRequest | CompletionRequest,
        *,
        chat: bool,
        request_id: str,
    ) -> web.StreamResponse:
        """Write events as tokens come; a status where the request fails before the first."""
        tokens = await request.take()
        if request.error and not tokens:
            return self.refuse(request.error[0], request.error[1], code=request.error[2], request_id=request_id)
        frames = self.frames(body.model, request.adapter, chat=chat, request_id=request_id)
        response = web.StreamResponse(headers={**wire.SSE_HEADERS, **self.headers(request_id)})
        await response.prepare(http)
        data = b"".join(frames.preamble(choice) for choice in range(body.n))
        held: list[list[tuple[str, float]]] = [[] for _ in range(body.n)]  # of tokens whose text may be a stop string
        told = [0] * body.n
        while True:
            for token in tokens:
                held[token.choice] += [token.logprob] if token.logprob else []
                if token.text or token.finish:
                    frame = frames.delta(token.choice, token.text, token.finish)
                    if body.wants_logprobs:
                        frame = in_frame(frame, held[token.choice], chat=chat, before=told[token.choice])
                        told[token.choice] += len(token.text)
                        held[token.choice].clear()
                    data += frame
            if request.error is not None:
                await response.write(data + frames.error(*request.error) + frames.done())
                break
            if request.finished:
                if body.stream_options and body.stream_options.include_usage:
                    data += frames.usage(request.usage())
                await response.write(data + frames.done())
                break
            if data:
                await response.write(data)
            data = b""
            tokens = await request.take()
        await response.write_eof()
        return response

    async def answer_whole(
        self, request: OpenRequest, body: ChatRequest | CompletionRequest, *, chat: bool, request_id: str
    ) -> web.Response:
        """One body after the last token."""
        texts = [""] * body.n
        logprobs: list[list[tuple[str, float]]] = [[] for _ in range(body.n)]
        while not request.finished and request.error is None:
            for token in await request.take():
                texts[token.choice] += token.text
                logprobs[token.choice] += [token.logprob] if token.logprob else []
        if request.error is not None:
            return self.refuse(request.error[0], request.error[1], code=request.error[2], request_id=request_id)
        frames = self.frames(body.model, request.adapter, chat=chat, request_id=request_id)
        whole = frames.whole(texts, request.finishes, request.usage())
        return web.Response(
            body=in_whole(whole, logprobs, chat=chat) if body.wants_logprobs else whole,
            headers=self.headers(request_id),
            content_type="application/json",
        )

    # ---- state

    def current_state(self) -> EngineState:
        """The state, as of now."""
        self.state.core_silent_s = self.link.silent_s
        self.state.open_requests = len(self.open)
        return self.state

    async def health(self, http: web.Request) -> web.Response:
        """200 when traffic should come here, else 503."""
        ready = self.readiness.ready(self.current_state())
        return web.Response(status=200 if ready else 503, headers=self.headers(""))

    async def get_metrics(self, http: web.Request) -> web.Response:
        """Prometheus' text format, vLLM's names."""
        return web.Response(body=self.metrics.text(), content_type="text/plain", charset="utf-8")

    async def models(self, http: web.Request) -> web.Response:
        """The loaded version and its adapters."""
        assert self.model is not None
        base = {
            "id": self.model.version,
            "object": "model",
            "owned_by": "refstack",
            "max_model_len": self.model.max_model_len,
            "parent": None,
        }
        data = [base, *({**base, "id": name, "parent": self.model.version} for name in self.adapters)]
        return web.json_response({"object": "list", "data": data}, headers=self.headers(""))

    async def server_info(self, http: web.Request) -> web.Response:
        """The parameters that the loaded version runs with."""
        assert self.model is not None
        return web.json_response(
            {
                "version": self.model.version,
                "max_model_len": self.model.max_model_len,
                "dtype": self.model.dtype,
                "default_sampling_params": {"temperature": self.model.temperature},
                "pid": os.getpid(),
            }
        )

    async def load(self, http: web.Request) -> web.Response:
        """How many requests are open."""
        return web.json_response({"server_load": len(self.open)})

    async def version(self, http: web.Request) -> web.Response:
        """The version of vLLM whose routes and names these are."""
        return web.json_response({"version": "0.33.0+refstack"})

    def routes(self) -> list[web.RouteDef]:
        """Completions, and what is asked of an engine beside them."""
        return [
            web.post("/v1/chat/completions", self.generate),
            web.post("/v1/completions", self.generate),
            web.get("/v1/models", self.models),
            web.get("/health", self.health),
            web.get("/ping", self.health),
            web.get("/metrics", self.get_metrics),
            web.get("/version", self.version),
            web.get("/load", self.load),
            web.get("/server_info", self.server_info),
        ]

    async def terminate(self) -> None:
        """SIGTERM: drain, then end."""
        if self.state.draining:
            return
        self.state.draining = True
        log.info("draining %d requests", len(self.open))
        await self.drain.wait(lambda: len(self.open))
        self.stopped.set()


def _decode(data: bytes, *, chat: bool) -> ChatRequest | CompletionRequest:
    return msgspec.json.decode(data, type=ChatRequest) if chat else msgspec.json.decode(data, type=CompletionRequest)
