"""The engine's API server: vLLM's routes over one core."""

from __future__ import annotations

import asyncio
import os
import uuid

import msgspec
from aiohttp import web

from servedrill.refstack import wire
from servedrill.refstack.engine import messages as m
from servedrill.refstack.engine.engine import Engine
from servedrill.refstack.engine.frames import Frames
from servedrill.refstack.engine.logprobs import in_frame, in_whole
from servedrill.refstack.engine.open_request import OpenRequest
from servedrill.refstack.engine.openai import ChatRequest, CompletionRequest
from servedrill.refstack.engine.tokens import tokenize
from servedrill.refstack.engine.validation import Refused


class EngineAPI:
    """vLLM's routes of one engine: completions, and what is asked of it beside them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def generate(self, http: web.Request) -> web.StreamResponse:
        """Both completion routes."""
        engine = self.engine
        chat = http.path == "/v1/chat/completions"
        request_id = http.headers.get(wire.REQUEST_ID) or uuid.uuid4().hex
        try:
            data = await http.read()
            body = _decode(data, chat=chat)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return engine.refuse(400, str(error), code="invalid_body", request_id=request_id)
        refusal = self.unavailable(request_id)
        if refusal is not None:
            return refusal
        try:
            submit = self.accept(body, chat=chat, request_id=request_id)
        except Refused as refused:
            return engine.refuse(
                refused.status, refused.message, code=refused.code, param=refused.param, request_id=request_id
            )
        if not engine.admission.admits(open_sequences=sum(r.n for r in engine.open.values()), new_sequences=body.n):
            engine.metrics.queue_full()
            return engine.refuse(
                503,
                "the engine's queue is full",
                code="queue_full",
                request_id=request_id,
                retry_after_s=engine.admission.retry_after_s(),
            )
        request = OpenRequest(submit.id, n=body.n, prompt_tokens=len(submit.prompt), adapter=submit.adapter)
        engine.open[submit.id] = request
        engine.link.send(submit)
        try:
            if body.stream:
                response: web.StreamResponse = await self.answer_streaming(
                    http, request, body, chat=chat, request_id=request_id
                )
            else:
                response = await self.answer_whole(request, body, chat=chat, request_id=request_id)
            engine.metrics.ended(request)
            return response
        except (asyncio.CancelledError, ConnectionError) as gone:
            engine.abort.on_disconnect(
                submit.id,
                route="chat" if chat else "completions",
                stream=body.stream,
                n=body.n,
                tokens_sent=request.generated,
                abort=lambda request_id: engine.link.send(m.Abort(ids=[request_id])),
            )
            raise asyncio.CancelledError from gone  # a client that hung up while it was written to is no error of ours
        finally:
            del engine.open[submit.id]

    def unavailable(self, request_id: str) -> web.Response | None:
        """The refusal of an engine that takes no requests now, or None."""
        engine = self.engine
        state = engine.current_state()
        if state.draining and engine.drain.refuses_new():
            response = engine.refuse(
                503, "the engine is draining", code="draining", request_id=request_id, retry_after_s=1
            )
            response.force_close()
            return response
        if not state.core_alive:
            return engine.refuse(500, "the engine's core has died", code="engine_dead", request_id=request_id)
        if state.swapping or state.sleeping or not (state.warm or engine.readiness.ready(state)):
            return engine.refuse(503, "the model is not loaded", code="loading", request_id=request_id, retry_after_s=1)
        return None

    def accept(self, body: ChatRequest | CompletionRequest, *, chat: bool, request_id: str) -> m.Submit:
        """Check the request and put it in the core's words. Raises `Refused`."""
        engine, model = self.engine, self.engine.model
        assert model is not None
        if body.model != model.version and body.model not in engine.adapters:
            raise Refused(
                404,
                f"no model {body.model!r} here; there are {engine.headers('')[wire.MODELS]}",
                code="model_not_found",
                param="model",
            )
        if body.seed is not None and not -(1 << 63) <= body.seed < 1 << 63:
            raise Refused(400, "seed does not fit into 64 bits", code="invalid_seed", param="seed")
        prompt, continues = body.tokens(tokenize)
        max_tokens = engine.validation.check(
            route="chat" if chat else "completions",
            prompt_tokens=len(tokenize(" ".join(prompt))) if prompt else 0,
            max_tokens=body.output_limit,
            n=body.n,
            temperature=body.temperature,
            top_p=body.top_p,
            model=model,
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
            adapter=engine.adapters.get(body.model, ""),
            continues=continues,
        )

    def frames(self, model: str, adapter: str, *, chat: bool, request_id: str) -> Frames:
        """The frames of one answer; the fingerprint names the version and the adapter's revision."""
        loaded = self.engine.model
        assert loaded is not None
        version = f"{loaded.version}+{adapter}" if adapter else loaded.version
        frames: Frames = self.engine.policies.make(
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
            return self.engine.refuse(request.error[0], request.error[1], code=request.error[2], request_id=request_id)
        frames = self.frames(body.model, request.adapter, chat=chat, request_id=request_id)
        response = web.StreamResponse(headers={**wire.SSE_HEADERS, **self.engine.headers(request_id)})
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
            return self.engine.refuse(request.error[0], request.error[1], code=request.error[2], request_id=request_id)
        frames = self.frames(body.model, request.adapter, chat=chat, request_id=request_id)
        whole = frames.whole(texts, request.finishes, request.usage())
        return web.Response(
            body=in_whole(whole, logprobs, chat=chat) if body.wants_logprobs else whole,
            headers=self.engine.headers(request_id),
            content_type="application/json",
        )

    # ---- beside the completions

    async def health(self, http: web.Request) -> web.Response:
        """200 when traffic should come here, else 503."""
        ready = self.engine.readiness.ready(self.engine.current_state())
        return web.Response(status=200 if ready else 503, headers=self.engine.headers(""))

    async def get_metrics(self, http: web.Request) -> web.Response:
        """Prometheus' text format, vLLM's names."""
        return web.Response(body=self.engine.metrics.text(), content_type="text/plain", charset="utf-8")

    async def models(self, http: web.Request) -> web.Response:
        """The loaded version and its adapters."""
        engine, model = self.engine, self.engine.model
        assert model is not None
        base = {
            "id": model.version,
            "object": "model",
            "owned_by": "refstack",
            "max_model_len": model.max_model_len,
            "parent": None,
        }
        data = [base, *({**base, "id": name, "parent": model.version} for name in engine.adapters)]
        return web.json_response({"object": "list", "data": data}, headers=engine.headers(""))

    async def server_info(self, http: web.Request) -> web.Response:
        """The parameters that the loaded version runs with."""
        model = self.engine.model
        assert model is not None
        return web.json_response(
            {
                "version": model.version,
                "max_model_len": model.max_model_len,
                "dtype": model.dtype,
                "default_sampling_params": {"temperature": model.temperature},
                "pid": os.getpid(),
            }
        )

    async def load(self, http: web.Request) -> web.Response:
        """How many requests are open."""
        return web.json_response({"server_load": len(self.engine.open)})

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


def _decode(data: bytes, *, chat: bool) -> ChatRequest | CompletionRequest:
    return msgspec.json.decode(data, type=ChatRequest) if chat else msgspec.json.decode(data, type=CompletionRequest)
