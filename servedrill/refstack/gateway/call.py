"""One client request on its way through the gateway: a slot, tries, the relay, a continuation where a stream broke.

acquire a slot -> choose -> try -> ok                                   -> answered
                    ^         |-> failed before the first token -> retry?  -> error with status
                    |_________|-> failed after it               -> resume? -> error event, [DONE]
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from servedrill.refstack import wire
from servedrill.refstack.gateway.admission import Overloaded
from servedrill.refstack.gateway.client_stream import ClientStream
from servedrill.refstack.gateway.events import parse
from servedrill.refstack.gateway.gateway import Gateway
from servedrill.refstack.gateway.outcome import Outcome

log = logging.getLogger("refstack")
_AFTER_DONE_S = 0.5
_STATUS = {"connect": 502, "reset": 502, "cut": 502, "error_event": 502, "stale": 503, "busy": 503}


class Call:
    """Everything about one request; ``run`` answers it."""

    def __init__(
        self, gateway: Gateway, http: web.Request, body: dict[str, Any], *, request_id: str, route: str
    ) -> None:
        self.gateway, self.http, self.body = gateway, http, body
        self.request_id, self.route = request_id, route
        self.key = api_key(http)
        self.stream = body.get("stream") is True
        self.n = body["n"] if isinstance(body.get("n"), int) else 1
        self.max_tokens: int = next(
            (v for k in ("max_completion_tokens", "max_tokens") if isinstance(v := body.get(k), int)), 256
        )
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.deadline = self.began + gateway.timeouts.request_s()
        self.tries: list[Outcome] = []
        self.headers = {wire.REQUEST_ID: request_id, wire.SERVED_VIA: gateway.name}
        self.client = ClientStream(http, self.headers, keep=wire_key(http) is not None)
        self.version = self.upstream = ""
        self.text = ""
        self.tokens = 0
        self.finishes: set[int] = set()
        self.answer_id = ""
        self.first: float | None = None
        self.last = 0.0
        self.came: float | None = None
        """When content last came in this try, loop time."""
        self.resumes = 0

    async def run(self) -> web.StreamResponse:
        """The answer, with a slot held for as long as it takes."""
        gateway, cancelled = self.gateway, False
        gateway.upstreams.in_flight.request_began()
        try:
            try:
                await gateway.admission.acquire(key=self.key, deadline_s=self.deadline - self.began)
            except Overloaded as refusal:
                return gateway.refuse(
                    503,
                    refusal.message,
                    code=refusal.code,
                    request_id=self.request_id,
                    retry_after_s=refusal.retry_after_s,
                )
            try:
                return await self.attempt_until_answered()
            except asyncio.CancelledError:
                cancelled = True
                raise
            finally:
                gateway.admission.release(key=self.key, cancelled=cancelled)
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            gateway.upstreams.in_flight.request_ended(cancelled=cancelled)

    async def attempt_until_answered(self) -> web.StreamResponse:
        """Try, retry and resume until the client has an answer or an error."""
        gateway = self.gateway
        names = gateway.aliases.versions(str(self.body["model"]))
        body: dict[str, Any] | None = self.body
        while body is not None:
            chosen = gateway.upstreams.choose(
                [self.version] if self.first else names,
                tried=self.tries,
                not_before=gateway.retry.not_before(self.tries),
                now=self.loop.time(),
            )
            if chosen is None:
                if not self.first and not gateway.upstreams.known(names):
                    return gateway.refuse(
                        404, f"no model {self.body['model']!r} here", code="model_not_found", request_id=self.request_id
                    )
                outcome = Outcome(
                    upstream="",
                    kind="none",
                    status=503,
                    retry_after_s=gateway.limits.breaker_open_s,
                    message="no engine can answer now",
                    code="no_engine",
                )
            else:
                upstream, self.version = chosen
                outcome = await self.try_once(upstream, {**body, "model": self.version})
                if outcome.ok:
                    return self.response
                self.tries.append(outcome)
            if self.first is None:
                if not await self.may_retry(outcome):
                    return self.fail(outcome)
                if self.tries:
                    gateway.metrics.retries.inc()
            else:
                body = await self.continuation(outcome)
        return await self.fail_in_stream(outcome)

    async def may_retry(self, outcome: Outcome) -> bool:
        """Wait until the next try may be made; False when there must not be one."""
        gateway = self.gateway
        if outcome.kind == "none":
            return False
        delay_s = gateway.retry.delay_s(self.tries)
        if (
            delay_s is None
            or self.loop.time() + delay_s >= self.deadline
            or not gateway.retry_budget.withdraw(self.loop.time())
        ):
            return False
        await asyncio.sleep(delay_s)
        return True

    async def continuation(self, outcome: Outcome) -> dict[str, Any] | None:
        """The body that goes on where the stream broke, after a moment's jitter; None when it cannot go on."""
        gateway = self.gateway
        if self.resumes >= gateway.resume.max_resumes() or outcome.kind == "none":
            return None
        self.resumes += 1
        body = gateway.resume.continuation(self.body, route=self.route, text=self.text, tokens=self.tokens)
        if body is not None:
            gateway.metrics.resumes.inc()
            await asyncio.sleep(gateway.chance.uniform(0, 0.05))
        return body  # type: ignore[no-any-return]

    # ---- one try

    async def try_once(self, upstream: str, body: dict[str, Any]) -> Outcome:
        """Send the request to one upstream and see how it ends; whatever that is, the books are right afterwards."""
        gateway = self.gateway
        gateway.upstreams.in_flight.try_began(upstream)
        gateway.upstreams.breaker.began(upstream)
        began, ttft_before = self.loop.time(), self.first
        outcome = Outcome(upstream=upstream, kind="cancelled")
        try:
            outcome = dataclasses.replace(await self.exchange(upstream, body), began=began)
            if outcome.timed_out and gateway.loop_watch.stood_still_since(began):
                outcome = dataclasses.replace(outcome, kind="own_stall")
            elif outcome.timed_out and gateway.upstreams.moves(upstream, self.loop.time()):
                outcome = dataclasses.replace(outcome, kind="busy")
            return outcome
        finally:
            now = self.loop.time()
            gateway.upstreams.in_flight.try_ended(upstream, cancelled=outcome.kind == "cancelled")
            gateway.upstreams.record(outcome, now)
            if not outcome.neutral:
                fresh = ttft_before is None and self.first is not None
                gateway.versions.ended(
                    self.version,
                    ok=outcome.ok,
                    ttft_s=self.first - began if fresh and self.first else None,
                    tpot_s=(self.last - self.first) / (self.tokens / self.n - 1)
                    if fresh and self.first and self.tokens / self.n > 4
                    else None,
                )
            if not outcome.ok:
                log.info(
                    "%s try %d at %s: %s %s %s",
                    self.request_id,
                    len(self.tries) + 1,
                    upstream,
                    outcome.kind,
                    outcome.status,
                    outcome.message,
                )

    async def exchange(self, upstream: str, body: dict[str, Any]) -> Outcome:
        """The HTTP exchange of one try."""
        gateway, response = self.gateway, None
        self.upstream, self.came = upstream, None

        def failed(kind: str, message: object = "", **more: Any) -> Outcome:
            return Outcome(
                upstream=upstream, kind=kind, message=str(message), tokens=self.tokens, ended=self.loop.time(), **more
            )

        timeout_s = gateway.timeouts.first_token_s() if self.stream else gateway.timeouts.whole_s(self.max_tokens)
        headers = {
            wire.REQUEST_ID: self.request_id,
            wire.ATTEMPT: str(len(self.tries) + 1),
            "content-type": "application/json",
        }
        try:
            async with asyncio.timeout(timeout_s) as clock:
                response = await gateway.session.post(
                    f"{gateway.upstreams.urls[upstream]}{self.http.path}",
                    data=msgspec.json.encode(body),
                    headers=headers,
                )
                if response.status != 200:
                    return self.refused(failed, response, await response.read())
                self.client.response.headers[wire.SERVED_BY] = response.headers.get(wire.SERVED_BY, upstream)
                if not self.stream:
                    return self.whole(upstream, failed, response, await response.read())
                return await self.relay(upstream, failed, response, clock)
        except TimeoutError:
            return failed(
                "idle_timeout" if self.first else "first_token_timeout" if self.stream else "try_timeout",
                "nothing came in time",
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return failed("connect", error)
        except (aiohttp.ClientError, OSError) as error:
            return failed("reset", error)
        finally:
            if response is not None:
                response.close() if not response.content.at_eof() else response.release()

    def refused(self, failed: Any, response: aiohttp.ClientResponse, content: bytes) -> Outcome:
        """The upstream answered with an error status."""
        try:
            error = parse(content).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            error = None
        code = str(error.code) if error and error.code else "upstream_error"
        if response.status == 404 and code == "model_not_found":
            return failed("stale", "the engine serves another model by now")  # type: ignore[no-any-return]
        retry_after = response.headers.get("retry-after", "")
        return failed(  # type: ignore[no-any-return]
            "status",
            error.message if error else content[:200].decode(errors="replace"),
            status=response.status,
            code=code,
            retry_after_s=float(retry_after) if retry_after.replace(".", "", 1).isdigit() else None,
        )

    def whole(self, upstream: str, failed: Any, response: aiohttp.ClientResponse, content: bytes) -> Outcome:
        """An answer that is not streamed."""
        self.first = self.last = self.loop.time()
        self.gateway.upstreams.moved[upstream] = self.last
        self.headers[wire.SERVED_BY] = response.headers.get(wire.SERVED_BY, "")
        self.response: web.StreamResponse = web.Response(
            body=content, headers=self.headers, content_type="application/json"
        )
        return failed("ok")  # type: ignore[no-any-return]

    async def relay(
        self, upstream: str, failed: Any, response: aiohttp.ClientResponse, clock: asyncio.Timeout
    ) -> Outcome:
        """Pass a stream's events on, until [DONE], an error or the end of the connection."""
        splitter, resumed, idle_s = wire.EventSplitter(), self.resumes > 0, self.gateway.timeouts.idle_s()
        pending, first_by = b"", clock.when()
        while True:
            chunk = await response.content.readany()
            if not chunk:
                return failed("cut", "the stream ended without [DONE]")  # type: ignore[no-any-return]
            clock.reschedule(None)
            for data in splitter.feed(chunk):
                if data == b"[DONE]":
                    if len(self.finishes) < self.n:
                        await self.write_begun(pending)
                        return failed("cut", "[DONE] before every choice had ended")  # type: ignore[no-any-return]
                    await self.client.write(pending + wire.DONE, last=True)
                    self.response = self.client.response
                    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                        async with asyncio.timeout(_AFTER_DONE_S):  # the answer is whole, however its connection ends
                            await response.read()
                    return failed("ok")  # type: ignore[no-any-return]
                event = parse(data)
                if event.error is not None:
                    await self.write_begun(pending)
                    return failed("error_event", event.error.message, code=str(event.error.code))  # type: ignore[no-any-return]
                pending += self.passed(data, event, resumed=resumed)
            if self.first is None:
                clock.reschedule(first_by)
                continue
            self.gateway.upstreams.moved[upstream] = self.last
            if pending:
                await self.client.write(pending)
                pending = b""
            clock.reschedule(None if idle_s is None else self.loop.time() + idle_s)

    async def write_begun(self, pending: bytes) -> None:
        """Write what came in one piece with a broken end: a continuation starts behind every token that was read."""
        if pending and self.first is not None:
            await self.client.write(pending)

    def passed(self, data: bytes, event: Any, *, resumed: bool) -> bytes:
        """What the client gets of one event, after taking note of it."""
        content = ""
        for choice in event.choices:
            if choice.content:
                content = choice.content
                self.text += content
                self.tokens += 1
            if choice.finish_reason:
                self.finishes.add(choice.index)
        if content:
            now = self.loop.time()
            if self.came is not None:  # what came from another engine before says nothing of this one
                self.gateway.upstreams.outlier.token(self.upstream, now - self.came, now)
            self.last = self.came = now
            self.first = self.first or self.last
        role = next((choice.role for choice in event.choices if choice.role), None)
        if not self.gateway.resume.forwards(
            role=role, has_content=bool(content) or not event.choices or bool(self.finishes), resumed=resumed
        ):
            return b""
        if not self.answer_id:
            self.answer_id = event.id
        elif event.id != self.answer_id:
            data = data.replace(event.id.encode(), self.answer_id.encode(), 1)
        if resumed and event.usage is not None:
            data = self.usage_of_the_whole(data)
        return b"data: " + data + b"\n\n"

    def usage_of_the_whole(self, data: bytes) -> bytes:
        """The token counts of a stream that two engines generated."""
        event = msgspec.json.decode(data)
        usage = event["usage"]
        before = self.tokens - usage["completion_tokens"]
        usage["completion_tokens"], usage["prompt_tokens"] = self.tokens, usage["prompt_tokens"] - before
        return msgspec.json.encode(event)

    # ---- ends that are no answer

    def fail(self, outcome: Outcome) -> web.Response:
        """An error with a status: nothing has been sent yet."""
        status = outcome.status if outcome.status is not None else _STATUS.get(outcome.kind, 504)
        return self.gateway.refuse(
            status,
            outcome.message or outcome.kind,
            code=outcome.code or outcome.kind,
            request_id=self.request_id,
            retry_after_s=outcome.retry_after_s or self.gateway.limits.retry_after_s,
        )

    async def fail_in_stream(self, outcome: Outcome) -> web.StreamResponse:
        """An error event: the client has part of the answer and has to know that it is not whole."""
        body = self.gateway.error_body.body(
            502,
            f"the stream broke and could not be resumed: {outcome.message}",
            code="stream_broken",
            request_id=self.request_id,
        )
        await self.client.write(wire.event(body) + wire.DONE, last=True)
        return self.client.response


def api_key(http: web.Request) -> str:
    """Whose request it is; empty for nobody's."""
    return http.headers.get("authorization", "").removeprefix("Bearer ")


def wire_key(http: web.Request) -> str | None:
    """The request's idempotency key."""
    return http.headers.get("idempotency-key")
