"""A service of which only its address is known: what answers there, which models it has, what it is made of.

A handful of requests, none of them for tokens. What is wrong is said in one line with the next step.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from servedrill.control.bounded import client, read, told
from servedrill.control.direct import reach_directly
from servedrill.dialect.openai import METRICS, MODELS, Models, base, bearer
from servedrill.dialect.vendor import Vendor
from servedrill.dialect.vendors import KNOWN, vendor_of
from servedrill.errors import StackError, UsageError
from servedrill.history.promises import Promises, with_assumed
from servedrill.secrecy.known import cut, secret_in
from servedrill.stacks.address_rules import URL, is_url
from servedrill.stacks.commands import environment_variable
from servedrill.stacks.file import External, ExternalReplica, StackFile
from servedrill.stacks.roles import ENGINE, GATEWAY
from servedrill.stacks.secrets_of import learn_secrets

_TIMEOUT_S = 5.0
_SHOWN = 10
_OWNERS = {"vllm": "vLLM", "sglang": "SGLang", "llamacpp": "llama.cpp", "library": "Ollama", "tgi": "TGI"}
"""What ``owned_by`` of a model says -> whose server lists it so."""
_PROBES = (
    ("Ollama", ENGINE, "/api/version", "version"),
    ("LiteLLM", GATEWAY, "/health/readiness", "litellm_version"),
    ("LiteLLM", GATEWAY, "/health/readiness", "db"),  # without a key it tells no version
    ("TGI", ENGINE, "/info", "router"),
    ("llama.cpp", ENGINE, "/props", "default_generation_settings"),
)
"""Software, role, a path that it alone has, and a key of the answer."""
_HEALTH = {"LiteLLM": "/health/liveliness"}
"""Where /health is none, or asks every model for an answer."""


class KeyAsked(StackError):
    """It answers nobody without a key, or not to this one."""


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    url: str
    """Without ``/v1``."""
    models: list[str]
    api_key_env: str | None = None
    software: str = ""
    """Empty where nobody knows it."""
    role: str = ENGINE
    metrics: str = ""
    """Where its metrics page is; empty where there is none that is read."""

    @property
    def host(self) -> str:
        """For a name."""
        return urlsplit(self.url).hostname or "stack"

    def model(self, wanted: str | None) -> str:
        """The one to ask for. Raises `UsageError` where it is not among those that are served, or none is named and
        there are several."""
        names = ", ".join(self.models[:_SHOWN])
        if wanted is not None and self.models and wanted not in self.models:
            raise UsageError(f"no model {wanted!r}", where=self.url, expected=f"one of {names}")
        if wanted is None and len(self.models) != 1:
            what = f"{len(self.models)} models" if self.models else f"{MODELS} lists none"
            raise UsageError(what, where=self.url, expected="one to ask for", hint=f"--model NAME: {names or '...'}")
        return wanted if wanted is not None else self.models[0]

    def stack_file(self, model: str) -> StackFile:
        """What a stack file would say of it."""
        replica = ExternalReplica(
            name=f"{self.role}-0",
            role=self.role,
            url=self.url,
            health=_HEALTH.get(self.software, ""),
            metrics="" if self.metrics in ("", f"{self.url}{METRICS}") else self.metrics,
            api_key_env=self.api_key_env,
        )
        file = StackFile(
            kind="external",
            name=self.host,
            environment="staging",
            external=External(url=self.url),
            replica=[replica] if self.metrics else [],
            api_key_env=self.api_key_env,
            promises=with_assumed(Promises(model=model, engine_model=model), ("model", "engine_model")),
            path="",
        )
        learn_secrets(file)
        return file


def look_at(url: str, *, api_key_env: str | None = None) -> Newcomer:
    """Raises `UsageError` for no URL, `StackError` where nothing answers, something that is no API of models, or one
    that asks for a key."""
    if not is_url(url):
        raise UsageError(f"is {url!r}", where="URL", expected=URL)
    url = base(url)
    reach_directly("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
    headers: dict[str, str] = {}
    if api_key_env:
        environment_variable(api_key_env, where=url)
        headers = bearer(secret_in(api_key_env))
    with client(timeout_s=_TIMEOUT_S) as http:
        models, owners = _models(http, url, headers, api_key_env)
        software, role, metrics = _software(http, url, headers, owners)
    return Newcomer(url=url, models=models, api_key_env=api_key_env, software=software, role=role, metrics=metrics)


class _Owned(msgspec.Struct, frozen=True):
    owned_by: str = ""


class _Owners(msgspec.Struct, frozen=True):
    data: list[_Owned] = []


def _models(
    http: httpx.Client, url: str, headers: dict[str, str], api_key_env: str | None
) -> tuple[list[str], list[str]]:
    """Names of models, and who is said to own them."""
    try:
        response = http.get(f"{url}{MODELS}", headers=headers)
    except httpx.HTTPError as error:
        raise StackError(
            f"no answer: {told(error)}",
            where=url,
            expected="a server of OpenAI's routes",
            hint=f"is it up, and is this its address? curl {url}{MODELS}",
        ) from error
    status = response.status_code
    if status in (401, 403):
        raise KeyAsked(
            f"{'the key was refused' if api_key_env else 'it asks for a key'}: {status} {cut(response.text, 200)}",
            where=url,
            expected="a key that it takes",
            hint=f"it comes from {api_key_env}" if api_key_env else "export LLM_KEY=..., and --api-key-env LLM_KEY",
        )
    _refuse_pages(response, url)
    if status in (404, 405, 501):
        return [], []
    if status != 200:
        raise StackError(
            f"{MODELS} answers {status} {cut(response.text, 200)}",
            where=url,
            expected="200 and a list of models",
            hint="" if api_key_env else "some say so to whoever has no key: --api-key-env LLM_KEY",
        )
    try:
        return [one.id for one in read(response, Models).data], [one.owned_by for one in read(response, _Owners).data]
    except httpx.HTTPError:
        raise StackError(
            f"{MODELS} is no list of models: {cut(response.text, 200)}",
            where=url,
            expected="a server of OpenAI's routes",
            hint="give the URL that comes before /v1",
        ) from None


def _refuse_pages(response: httpx.Response, url: str) -> None:
    """A page for people: a login, a proxy's front."""
    leads = response.headers.get("location", "") if response.is_redirect else ""
    if leads or "text/html" in response.headers.get("content-type", ""):
        what = f"leads to {cut(leads, 120)}" if leads else f"is a web page ({response.status_code})"
        raise StackError(
            f"{MODELS} {what}",
            where=url,
            expected="a server of OpenAI's routes, and no page for people",
            hint="is there a login in front of it? Give the address behind that, or a key: --api-key-env LLM_KEY",
        )


def _software(http: httpx.Client, url: str, headers: dict[str, str], owners: list[str]) -> tuple[str, str, str]:
    """Name, role, and where the metrics page is."""
    where, vendor = _metrics(http, url, headers)
    if vendor is not None:
        return vendor.name, vendor.role, where
    for name, role, path, key in _PROBES:
        if key in _told(http, f"{url}{path}", headers):
            return name, role, ""
    for vendor in KNOWN:
        if vendor.version_path and vendor.name in map(_OWNERS.get, owners):
            return vendor.name, vendor.role, ""
    return next((name for name in map(_OWNERS.get, owners) if name), ""), ENGINE, ""


def _metrics(http: httpx.Client, url: str, headers: dict[str, str]) -> tuple[str, Vendor | None]:
    for page in (f"{url}{METRICS}", f"{url}{METRICS}/"):
        try:
            response = http.get(page, headers=headers)
        except httpx.HTTPError:
            return "", None
        if response.status_code == 200:
            for role in (GATEWAY, ENGINE):
                if (vendor := vendor_of(response.text, role)) is not None:
                    return page, vendor
    return "", None


def _told(http: httpx.Client, url: str, headers: dict[str, str]) -> dict[str, Any]:
    try:
        response = http.get(url, headers=headers)
        return read(response, dict[str, Any]) if response.status_code == 200 else {}
    except httpx.HTTPError:
        return {}
