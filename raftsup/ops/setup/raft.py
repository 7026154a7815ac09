"""Which Raft agent an account is: its profile, and whom the CLI says that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raftsup import raft_home
from raftsup.ops.accounts import ChangeRefused, of_profile
from raftsup.ops.raft_cli import CliTrouble, whoami
from raftsup.ops.setup.ask import Ask

_AGAIN, _OTHER, _BY_HAND = range(3)


def ask_profile(ask: Ask, tree: object, environ: Mapping[str, str]) -> str:
    """The name of a CLI profile: one of those that are there, or one that is typed."""
    names = [profile.slug for profile in raft_home.signed_in(environ)]
    fresh = [name for name in names if of_profile(tree, name) is None]
    if names:
        ask.say("Profiles of the Raft CLI:")
        for number, name in enumerate(names, 1):
            holder = of_profile(tree, name)
            ask.say(f"  {number}) {name}{f' (the account {holder})' if holder else ''}")
    question = "Profile (number or name)" if names else "Profile of the Raft CLI"
    given = ask.text(question, fresh[0] if fresh and ask.person else None, "--profile P")
    if given.isdecimal() and 1 <= int(given) <= len(names) and given not in names:
        return names[int(given) - 1]
    return given


def ask_whoami(
    ask: Ask,
    command: Sequence[str],
    profile: str,
    given: str | None,
    environ: Mapping[str, str],
    *,
    fixed: bool = False,
) -> str | None:
    """The agent id of ``profile``, confirmed; None: rather another profile (not if ``fixed``).

    ``given``: what a flag says that it is. Raises ``ChangeRefused`` and ``CliTrouble``.
    """
    while True:
        try:
            found = whoami(command, profile, environ)
        except CliTrouble as error:
            if given is not None:
                ask.say(f"Not confirmed: {error}")
                return given
            if not ask.person:
                raise CliTrouble(f"{error}; or write the id with --agent-id") from None
            ask.say(str(error))
            options = ["try again", "another profile", "write the agent id by hand"]
            if fixed:
                options.remove("another profile")
            chosen = ask.choose("And now", options, 0, "--agent-id ID")
            if fixed and chosen:
                chosen = _BY_HAND
            if chosen == _BY_HAND:
                return ask.text("Agent id", None, "--agent-id ID")
            if chosen == _OTHER:
                return None
            continue
        if given is not None and given != found.agent_id:
            raise ChangeRefused(
                f"--agent-id {given}: the profile {profile} is the agent {found.agent_id};"
                " choose the other profile or the other id"
            )
        ask.say(f"The profile {profile} is the agent {found.agent_id} at {found.server}")
        if ask.sure("Is that the one", default=True, unasked=True):
            return found.agent_id
        if fixed:
            raise ChangeRefused(
                f"the profile {profile} is another agent; sign in to the right one first:"
                f" `{command[0]} --profile {profile} auth login`"
            )
        return None
