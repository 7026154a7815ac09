"""Trying the new accounts' agents before anything is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from raftsup.config.errors import ConfigError
from raftsup.config.file_update import unset_variables
from raftsup.config.model import Config, OpenClawAgent
from raftsup.config.placeholders import placeholders_in
from raftsup.ops import live
from raftsup.ops.accounts import ChangeRefused
from raftsup.ops.config_update import Target, lenient
from raftsup.ops.setup.prompts import Ask
from raftsup.paths import StateDir


def try_agents(
    target: Target, text: str, ids: Sequence[str], secrets: Mapping[str, str], ask: Ask
) -> bool:
    """Whether to go on: the agents can be had, or the person wants it all the same.

    Raises ``ChangeRefused`` where they cannot be had and nobody is asked.
    """
    environ = {**target.environ, **secrets}
    try:
        config = lenient(text, replace(target, environ=environ))
    except ConfigError:
        # An address that comes from a variable, for example.
        unset = unset_variables(text, target.path, environ)
        why = f"not set here: {', '.join(unset)}" if unset else (
            "something else in the config is wrong, `raftsup config check` tells what"
        )  # fmt: skip
        ask.say(f"The agent was not tried: {why}")
        return True
    config = replace(config, accounts=tuple(a for a in config.accounts if a.id in ids))
    if unset := sorted(
        {name for account in config.accounts for name in placeholders_in(account.agent)}
    ):
        ask.say(f"The agent was not tried: not set here: {', '.join(unset)}")
        return True
    with tempfile.TemporaryDirectory(prefix="raftsup-") as folder:
        # Away from loopback a Gateway remembers the host's key: then it must be the true one.
        state = target.state if _known_by_key(config) else StateDir(Path(folder) / "state")
        tried = live.try_all(config, state, environ)
    for one in tried:
        ask.say(f"Trying the agent {one.kind}, for {', '.join(one.accounts)}:")
        for finding in one.findings:
            ask.say(f"  {'good' if finding.good else 'FAIL'}  {finding.text}")
    if all(one.good for one in tried):
        return True
    if not ask.person:
        raise ChangeRefused(
            "the agent cannot be had; fix what is said above, or write the config all the same"
            " with --no-check"
        )
    return ask.sure("Write the config all the same", default=False, unasked=False)


def _known_by_key(config: Config) -> bool:
    agents = [account.agent for account in config.accounts]
    return any(isinstance(a, OpenClawAgent) and a.url.startswith("wss:") for a in agents)
