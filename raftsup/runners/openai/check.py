"""Whether an OpenAI-style endpoint could take a turn, found out without a model call."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping

import orjson

from raftsup.config.model import OpenAIAgent
from raftsup.runners.base import Finding
from raftsup.runners.openai.answer import not_there, refusal
from raftsup.runners.openai.http import Answer, Lost, NotSent, exchange
from raftsup.runners.openai.wire import PATHS, credentials, shown, url_of

#: Seconds for the whole check.
TIMEOUT_S = 15.0
#: How many of the endpoint's models are named where none is near.
NAMED = 5


async def try_out(
    agent: OpenAIAgent, env: Mapping[str, str], timeout: float = TIMEOUT_S
) -> list[Finding]:
    """Ask for the list of models and, of an OpenClaw Gateway, for the agent's path."""
    try:
        async with asyncio.timeout(timeout):
            return await _try_out(agent, env)
    except TimeoutError:
        return [Finding(False, f"{shown(agent.base_url)} gave no answer in {timeout:g} s")]
    except (NotSent, Lost) as error:
        return [Finding(False, str(error))]


async def _try_out(agent: OpenAIAgent, env: Mapping[str, str]) -> list[Finding]:
    models = await exchange("GET", url_of(agent, "/models"), credentials(agent), env)
    found = of_models(agent, models)
    if not found.good or not _gateway(agent):
        return [found]
    # A Gateway switches its paths on one by one, and refuses a request that asks for nothing
    # before any agent sees it. Other servers might take it for a prompt.
    url = url_of(agent, PATHS[agent.api])
    empty = await exchange("POST", url, credentials(agent), env, {})
    return [found, of_path(agent, empty)]


def _gateway(agent: OpenAIAgent) -> bool:
    return agent.model.startswith(("openclaw", "agent:"))


def of_models(agent: OpenAIAgent, answer: Answer) -> Finding:
    """What the answer to ``GET /models`` says."""
    url = shown(url_of(agent, "/models"))
    if answer.status in (404, 405):
        return Finding(True, f"{url} is not there: the key and the model could not be checked")
    if not 200 <= answer.status < 300:
        return Finding(False, refusal(agent, answer.status, answer.body, answer.location, url))
    names = names_in(answer.body)
    if names is None:
        return Finding(True, f"{url} answers, but lists no models: the model could not be checked")
    if agent.model in names or _alias(agent.model) in names:
        return Finding(True, f"{url} knows the model {agent.model}")
    near = difflib.get_close_matches(agent.model, names, n=3, cutoff=0.5) or names[:NAMED]
    return Finding(False, f"{url} knows no model {agent.model}; write `model` as it lists them,"
                   f" such as {', '.join(near)}")  # fmt: skip


def names_in(body: bytes) -> list[str] | None:
    """The ids of a list of models, those that can be printed; None if there is none."""
    try:
        listed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    data = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(data, list):
        return None
    ids = [model.get("id") for model in data if isinstance(model, dict)]
    names = [name[:128] for name in ids if isinstance(name, str) and name.isprintable()]
    return names or None


def _alias(model: str) -> str:
    """The listed name of an agent that a Gateway knows by others too."""
    for prefix in ("openclaw:", "agent:"):
        if model.startswith(prefix):
            return "openclaw/" + model.removeprefix(prefix).lower()
    return model


def of_path(agent: OpenAIAgent, answer: Answer) -> Finding:
    """What the answer to an empty request on the agent's path says."""
    if answer.status in (404, 405):
        return Finding(False, f"{not_there(agent)} ({answer.status})")
    if answer.status in (400, 422):
        return Finding(True, f"{shown(url_of(agent, PATHS[agent.api]))} takes requests")
    return Finding(False, refusal(agent, answer.status, answer.body, answer.location))
