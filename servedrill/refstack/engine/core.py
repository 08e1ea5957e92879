"""The core process: schedules, computes, holds the KV cache; its parent is the engine's API server.

    messages -> scheduler.plan -> (sleep: what the step would cost on a GPU) -> states into the pool -> sampler -> Step

A step's cost is slept, not burnt: the machine's cores belong to the drill. Everything else is real: the pool's memory,
the work buffer of a step, the process that dies.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import stat
import time

import msgspec

from servedrill.refstack.config import Stack
from servedrill.refstack.engine import messages as m
from servedrill.refstack.engine.kv_cache import KVPool
from servedrill.refstack.engine.scheduler import Work
from servedrill.refstack.engine.sequence import Sequence
from servedrill.refstack.engine.tokens import START, draw, fold, golden_answer, hash64, log_probability
from servedrill.refstack.engine.weights import LoadFailed
from servedrill.refstack.policies import Policies

IDLE_TICK_S = 0.25
LIFELINE = 0
"""Standard input. A pipe ends with the supervisor; in a container it is none, and the container ends the core."""


class Core:
    """The loop of one engine's core."""

    def __init__(self, stack: Stack, policies: Policies, link: socket.socket) -> None:
        limits = stack.engine_limits
        self.stack, self.limits, self.costs = stack, limits, stack.costs
        self.link = link
        self.unpacker = m.Unpacker()
        self.decoder = msgspec.msgpack.Decoder(m.ToCore)
        self.later: list[m.ToCore] = []
        self.pool = KVPool(blocks=limits.blocks, block_tokens=limits.block_tokens, block_bytes=limits.block_bytes)
        self.blocks = policies.make("block_manager", limits.blocks)
        self.cache = policies.make("prefix_cache", self.blocks, limits.block_tokens)
        self.scheduler = policies.make("scheduler", limits, self.blocks, self.cache)
        self.core_abort = policies.make("core_abort")
        self.sampler = policies.make("sampler")
        self.weights = policies.make("weights", stack.models)
        self.gauges = policies.make("gauges")
        self.cold_steps = stack.costs.warmup_steps
        self.steps = self.generated = self.prompted = 0
        self.sleeping = 0
        self.orphan = False
        """The API server is gone."""

    def run(self) -> None:
        """Until the supervisor is gone."""
        self.start()
        while True:
            messages = self.receive(timeout_s=0.0 if self.can_step else IDLE_TICK_S)
            answers = [answer for message in messages if (answer := self.handle(message))]
            self.core_abort.tick(self.scheduler)
            stepped = self.can_step
            tokens = self.step() if stepped else []
            stats = (
                self.stats()
                if self.gauges.due(
                    stepped=stepped, changed=any(not isinstance(message, m.Ping) for message in messages)
                )
                else None
            )
            if tokens or stats:
                self.send(m.Step(tokens=tokens, stats=stats))
            for answer in answers:  # after the gauges, so that they show what an answer says
                self.send(answer)

    @property
    def can_step(self) -> bool:
        """Whether there is work and the memory to do it in."""
        return bool(self.scheduler.busy) and not self.sleeping

    def start(self) -> None:
        """Load the version that the stack serves, then warm up until steps run at speed."""
        try:
            model = self.weights.find(self.stack.serves)
            self.pause(model.load_s)
            self.weights.switch(model)
        except LoadFailed as error:
            self.send(m.Ready(version="", loaded=False, warm=False, error=str(error)))
            return
        self.send(m.Ready(version=model.version, loaded=True, warm=False))
        while self.cold_steps:
            self.pause(self.step_cost(prefill=0, decode=1))
            self.cold_steps -= 1
        self.send(m.Ready(version=model.version, loaded=True, warm=True))
        self.send(m.Step(tokens=[], stats=self.stats()))

    def step(self) -> list[m.Token]:
        """One step of the model over everything planned."""
        began = time.monotonic()
        work: list[Work] = self.scheduler.plan()
        prefill = sum(item.positions for item in work if not item.sequence.decoding)
        buffer = mmap.mmap(
            -1, max(1, prefill) * self.limits.activation_bytes_per_token, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        buffer[:: mmap.PAGESIZE] = b"\x5a" * -(-len(buffer) // mmap.PAGESIZE)
        begun = sum(item.sequence.beginning for item in work)
        cost_s = self.step_cost(prefill=prefill, decode=len(work), begun=begun)
        out = [token for item in work if (token := self.advance(item)) is not None]
        buffer.close()
        self.cold_steps = max(0, self.cold_steps - 1)
        self.steps += 1
        time.sleep(max(0.0, cost_s - (time.monotonic() - began)))
        return out

    def step_cost(self, *, prefill: int, decode: int, begun: int = 0) -> float:
        """Seconds that a step takes: ``prefill`` positions, ``decode`` sequences, ``begun`` of which began in it."""
        costs = self.costs
        seconds = costs.overhead_s + prefill * costs.prefill_s_per_token + decode * costs.decode_s_per_sequence
        seconds += begun * costs.request_s
        slowdown = self.weights.model.slowdown if self.weights.model else 1.0
        return seconds * slowdown * (costs.cold_factor if self.cold_steps else 1.0)

    def advance(self, work: Work) -> m.Token | None:
        """Compute the positions; when none is missing, sample the next token."""
        sequence, pool, width = work.sequence, self.pool, self.limits.block_tokens
        position = sequence.computed
        end = position + work.positions
        state = START if position == 0 else pool.read(sequence.blocks[(position - 1) // width], position - 1)
        version = self.weights.identity(sequence.request.adapter)
        version_hash = hash64(version)
        for p in range(position, end):
            state = fold(state, sequence.tokens[p], version_hash)
            pool.write(sequence.blocks[p // width], p, state)
        sequence.computed = end
        for index in range(position // width, min(end // width, len(sequence.keys))):
            self.cache.remember(sequence.keys[index], sequence.blocks[index])
        if sequence.missing:
            return None
        word = self.sampler.next_token(sequence, state, self.weights.model)
        logprob = None
        if word is not None and sequence.request.logprobs:
            likeliest = draw(state, 0) if sequence.script is None else word
            logprob = (f" {word}", log_probability(state, word, likeliest=likeliest))
        return self.emit(sequence, word, logprob)

    def emit(self, sequence: Sequence, word: str | None, logprob: tuple[str, float] | None) -> m.Token:
        """Append the token, see whether the answer ends with it, and say what the client gets."""
        request = sequence.request
        if word is None:
            finish: str | None = "stop"
        else:
            sequence.tokens.append(word)
            sequence.text += " " + word
            self.generated += 1
            finish = "length" if sequence.generated - request.continues >= request.max_tokens else None
        text, finish = self.cut_at_stop(sequence, finish)
        if finish:
            sequence.finish = finish
            self.scheduler.finish(sequence)
        return m.Token(
            id=request.id,
            choice=sequence.choice,
            text=text,
            tokens=1 if word else 0,
            finish=finish,
            cached=sequence.cached,
            logprob=logprob,
        )

    def cut_at_stop(self, sequence: Sequence, finish: str | None) -> tuple[str, str | None]:
        """The new text that can be sent: none of it may turn out to be part of a stop string."""
        end = len(sequence.text)
        for stop in sequence.request.stop:
            at = sequence.text.find(stop)
            if at >= 0:
                end, finish = min(end, at), "stop"
        if finish is None:
            held = max(
                (k for stop in sequence.request.stop for k in range(1, len(stop)) if sequence.text.endswith(stop[:k])),
                default=0,
            )
            end -= held
        text = sequence.text[sequence.text_sent : end]
        sequence.text_sent = max(sequence.text_sent, end)
        return text, finish

    def handle(self, message: m.ToCore) -> m.Done | None:
        """Between two steps; the answer to a control message."""
        match message:
            case m.Submit():
                self.submit(message)
            case m.Abort(ids=ids):
                self.core_abort.on_abort(self.scheduler, ids)
            case m.Ping(number=number):
                self.send(m.Pong(number=number))
            case _:
                return self.control(message)
        return None

    def submit(self, request: m.Submit) -> None:
        """One sequence a choice."""
        model = self.weights.model
        adapter = request.model if request.adapter else ""
        keys = self.cache.keys(request.prompt, self.cache.salt(adapter=adapter, revision=request.adapter))
        self.prompted += len(request.prompt)
        for choice in range(request.n):
            script = golden_answer(request.prompt, version=model.version, accuracy=model.accuracy)
            self.scheduler.add(
                Sequence(request=request, choice=choice, prompt=request.prompt, keys=keys, script=script)
            )

    def control(self, message: m.ToCore) -> m.Done:
        """Change weights, adapters, sleep; a failure is an answer, not a crash."""
        try:
            match message:
                case m.Load(version=version):
                    model = self.weights.find(version)
                    self.pause(model.load_s)
                    self.weights.switch(model)
                    self.cache.on_weights_changed()
                case m.Sleep(level=level):
                    self.pool.discard()
                    self.cache.on_memory_discarded()
                    self.weights.release()
                    self.sleeping = level
                case m.Wake():
                    self.pool.allocate()
                    self.weights.restore()
                    self.sleeping = 0
                case m.LoadAdapter(name=name, path=path):
                    self.weights.load_adapter(name, path)
                case m.UnloadAdapter(name=name):
                    self.weights.unload_adapter(name)
                case m.ResetPrefixCache():
                    return self.done(self.cache.reset(), "blocks are held")
        except LoadFailed as error:
            return self.done(False, str(error))
        return self.done(True, "")

    def done(self, ok: bool, detail: str) -> m.Done:
        """The answer to a control message; ``detail`` says why it failed."""
        version = self.weights.model.version if self.weights.model else ""
        return m.Done(ok=ok, detail="" if ok else detail, version=version, adapters=dict(self.weights.adapters))

    def stats(self) -> m.Stats:
        """What the gauges and counters say now."""
        scheduler, cache = self.scheduler, self.cache
        return m.Stats(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            blocks_held=self.blocks.held,
            preemptions=scheduler.preemptions,
            generated_tokens=self.generated,
            prompt_tokens=self.prompted,
            cache_queries=cache.queries,
            cache_hits=cache.hits,
            steps=self.steps,
            sleeping=self.sleeping,
            memory_bytes=self.pool.bytes_held + self.weights.bytes_held,
            aborted=self.core_abort.aborted,
        )

    def pause(self, seconds: float) -> None:
        """Let time pass as loading does: pings are answered, everything else waits for its turn."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for message in self.read(left):
                if isinstance(message, m.Ping):
                    self.send(m.Pong(number=message.number))
                else:
                    self.later.append(message)

    def receive(self, timeout_s: float) -> list[m.ToCore]:
        """What was put off, then what has arrived."""
        later, self.later = self.later, []
        return later + self.read(0.0 if later else timeout_s)

    def read(self, timeout_s: float) -> list[m.ToCore]:
        """What has arrived within ``timeout_s``. Raises `SystemExit` when the supervisor is gone."""
        ends: list[socket.socket | int] = [LIFELINE] if stat.S_ISFIFO(os.fstat(LIFELINE).st_mode) else []
        if not self.orphan:
            ends.append(self.link)
        readable, _, _ = select.select(ends, [], [], timeout_s)
        if LIFELINE in readable and not os.read(LIFELINE, 1):
            raise SystemExit(0)
        if self.link not in readable:
            return []
        try:
            data = self.link.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self.orphan = True
        return [self.decoder.decode(body) for body in self.unpacker.feed(data)]

    def send(self, message: m.FromCore) -> None:
        """Tell the API server; without one, nothing is sent."""
        try:
            self.link.sendall(m.pack(message))
        except (BrokenPipeError, ConnectionResetError):
            self.orphan = True
