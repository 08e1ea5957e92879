"""The requests that an engine understands, parsed and typed at the edge."""

from __future__ import annotations

from typing import Any

import msgspec


class StreamOptions(msgspec.Struct, kw_only=True):
    """OpenAI's ``stream_options``."""

    include_usage: bool = False


class Part(msgspec.Struct, kw_only=True):
    """One part of a message's content; only text counts."""

    type: str
    text: str = ""


class Message(msgspec.Struct, kw_only=True):
    """One message of a chat."""

    role: str
    content: str | list[Part] = ""

    @property
    def text(self) -> str:
        """Its text; parts are joined by a space."""
        return self.content if isinstance(self.content, str) else " ".join(part.text for part in self.content)


class Common(msgspec.Struct, kw_only=True):
    """What both routes share; fields that are not named here are ignored, as vLLM does."""

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float = 1.0
    seed: int | None = None
    stop: str | list[str] | None = None
    ignore_eos: bool = False

    @property
    def stops(self) -> list[str]:
        """The stop strings, without empty ones."""
        match self.stop:
            case None:
                return []
            case str():
                return [self.stop] if self.stop else []
            case _:
                return [stop for stop in self.stop if stop]


class ChatRequest(Common, kw_only=True):
    """A body of /v1/chat/completions."""

    messages: list[Message]
    logprobs: bool | None = None
    max_completion_tokens: int | None = None
    continue_final_message: bool = False
    """The last message is the beginning of the answer and is to be continued (vLLM's parameter)."""
    add_generation_prompt: bool = True

    @property
    def wants_logprobs(self) -> bool:
        """Whether the answer is to have log-probabilities."""
        return bool(self.logprobs)

    def tokens(self, tokenize: Any) -> tuple[list[str], int]:
        """The prompt's tokens, and how many of them at its end are an answer to be continued."""
        prompt: list[str] = []
        for message in self.messages:
            words = tokenize(message.text)
            if self.continue_final_message and message is self.messages[-1] and message.role == "assistant":
                return [*prompt, "<|assistant|>", *words], len(words)
            prompt += [f"<|{message.role}|>", *words]
        return [*prompt, "<|assistant|>"], 0

    @property
    def output_limit(self) -> int | None:
        """Tokens that may be generated; None where the request does not say."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


class CompletionRequest(Common, kw_only=True):
    """A body of /v1/completions."""

    prompt: str
    logprobs: int | None = None
    """How many of the likeliest tokens; only that of the answer is given, as with 0."""
    continues: int = 0
    """How many words at the prompt's end are an answer to be continued."""

    @property
    def wants_logprobs(self) -> bool:
        """Whether the answer is to have log-probabilities."""
        return self.logprobs is not None

    def tokens(self, tokenize: Any) -> tuple[list[str], int]:
        """The prompt's tokens, and how many of them at its end are an answer to be continued."""
        words = tokenize(self.prompt)
        return words, min(self.continues, len(words))

    @property
    def output_limit(self) -> int | None:
        """Tokens that may be generated; None where the request does not say."""
        return self.max_tokens
