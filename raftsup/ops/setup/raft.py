"""Which Raft agent an account is: its profile, signed in if need be, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from raftsup import raft_home
from raftsup.ops import raft_cli
from raftsup.ops.accounts import ChangeRefused, of_profile
from raftsup.ops.raft_cli import CliTrouble, confirmed
from raftsup.ops.setup.prompts import Ask
from raftsup.raft_errors import Who
from raftsup.raft_names import wrong_agent_id, wrong_profile, wrong_server

#: Raft's own, where no profile here says another.
SERVER = "https://app.raft.build"
_ANOTHER = "+"
_PROFILE = "Profile (number or name)"
_LIST = "list"


class _Now(StrEnum):
    SIGN_IN = "sign it in now"
    AGAIN = "try again"
    ANOTHER = "another profile"
    BY_HAND = "write the agent id by hand"


def ask_profile(ask: Ask, command: Sequence[str], tree: object, environ: Mapping[str, str]) -> str:
    """The name of a CLI profile: one that is signed in, one that is signed in now, or one that is
    typed. Raises ``CliTrouble``.
    """
    found = raft_home.signed_in(environ)
    names = [profile.slug for profile in found]
    fresh = [name for name in names if of_profile(tree, name) is None]
    if names:
        ask.say("Profiles of the Raft CLI:")
        for number, profile in enumerate(found, 1):
            holder = of_profile(tree, profile.slug)
            of = f" (the account {holder})" if holder else ""
            ask.say(f"  {number}) {profile.slug}{of}")
        ask.say(f"  {_ANOTHER}) sign in another one")
    elif ask.person:
        ask.say("No profile of the Raft CLI is signed in here.")
        if ask.sure("Sign one in now", default=True, unasked=False):
            given = sign_in(ask, Who("", command), environ)
            ask.keep(_PROFILE, given)
            return given
    question = _PROFILE if names else "Profile of the Raft CLI"
    given = ask.text(question, fresh[0] if fresh and ask.person else None, "--profile P",
                     lambda name: None if name == _ANOTHER else wrong_profile(name))  # fmt: skip
    if given == _ANOTHER and names:
        given = sign_in(ask, Who("", command), environ)
    elif given.isdecimal() and 1 <= int(given) <= len(names) and given not in names:
        given = names[int(given) - 1]
    ask.keep(_PROFILE, given)
    return given


def sign_in(ask: Ask, who: Who, environ: Mapping[str, str]) -> str:
    """Sign a profile in by questions; its name. What is known of ``who`` is offered. The token is
    typed unseen, handed to the CLI, and kept nowhere.
    """
    server: str | None = None
    agent_id: str | None = None
    profile, name = who.profile, ""
    while True:
        if server is None:
            usual = who.server or raft_home.usual_server(environ) or SERVER
            server = ask.text("Raft server", usual, "--server URL", wrong_server)
        if agent_id is None:
            agent_id, name = _ask_agent(ask, who, server, environ)
        profile = profile or ask.text("Profile name", name or agent_id, "--profile P",
                                      wrong_profile)  # fmt: skip
        login = Who(profile, who.command, agent_id, server)
        try:
            if _sign_in_by_token(ask, login, environ):
                ask.say(f"Signed in: the profile {profile} is the agent {agent_id}.")
                ask.done.append(f"the profile {profile} was signed in")
            else:
                ask.say(f"The profile {profile} is signed in already.")
            return profile
        except CliTrouble as error:
            if not ask.person:
                raise
            ask.say(f"  {error}.")
            # Back to the question that was answered wrong.
            match error.code:
                case "INVALID_AGENT_TOKEN" | "AGENT_TOKEN_REQUIRED":
                    pass
                case "AGENT_IDENTITY_MISMATCH" | "INVALID_AGENT_ID":
                    # It was offered as a name, too.
                    profile = "" if profile == agent_id else profile
                    agent_id = None
                case "PROFILE_ALREADY_EXISTS":
                    profile = ""
                case _:
                    server = None


def _sign_in_by_token(ask: Ask, login: Who, environ: Mapping[str, str]) -> bool:
    """False if it is signed in already. Raises ``CliTrouble``."""
    match raft_cli.standing(login, environ):
        case "usable":
            return False
        case "mismatch":
            # Told before a token is asked for in vain.
            raise CliTrouble(
                f"the profile {login.profile} is of another agent or server; choose another name",
                "PROFILE_ALREADY_EXISTS",
            )
    token = ask.secret("Agent token, from its External Agent page in Raft (not shown)",
                       "--token-stdin")  # fmt: skip
    raft_cli.login(login, token, environ)
    return True


def _ask_agent(ask: Ask, who: Who, server: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """An agent's id, and its name where it is known."""
    question = "Agent id (from its External Agent page; Enter lists them, by a browser's approval)"
    while True:
        given = ask.text(question, who.agent_id or _LIST, "--agent-id ID", wrong_agent_id)
        if given != _LIST:
            return given, ""
        try:
            listed = raft_cli.agents(who.command, server, environ)
        except CliTrouble as error:
            ask.say(f"  {error}.")
            continue
        if not listed:
            ask.say("  There is no agent that you may sign in as; make one in Raft first.")
            continue
        words = [f"{one.name} ({one.id})" if one.name else one.id for one in listed]
        chosen = listed[ask.choose("Agents", words, 0, "--agent-id ID")]
        return chosen.id, chosen.name


def signed_in_by_flags(
    ask: Ask,
    command: Sequence[str],
    profile: str,
    agent_id: str,
    server: str | None,
    token: str,
    environ: Mapping[str, str],
) -> None:
    """Sign a profile in with what the command line says. Raises ``CliTrouble``."""
    known = raft_cli.who_of(command, profile, environ)
    who = Who(profile, command, agent_id, server or known.server or SERVER)
    raft_cli.login(who, token, environ)
    ask.say(f"Signed in: the profile {profile} is the agent {agent_id} at {who.server}.")
    ask.done.append(f"the profile {profile} was signed in")


def _ask_what_now(ask: Ask, error: CliTrouble, fixed: bool) -> _Now:
    """After a profile that cannot be asked whose it is. Raises ``CliTrouble``."""
    if not ask.person:
        raise CliTrouble(f"{error}; or write the id with --agent-id", error.code) from None
    ask.say(str(error))
    options = [now for now in _Now if not (fixed and now is _Now.ANOTHER)]
    return options[ask.choose("And now", options, 0, "--agent-id ID")]


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
            found = confirmed(command, profile, environ)
            if found.refused:
                login = raft_cli.who_of(command, profile, environ).login
                raise CliTrouble(f"Raft refuses the credential of profile {profile}:"
                                 f" {found.refused}; sign in again: `{login}`")  # fmt: skip
        except CliTrouble as error:
            if given is not None:
                ask.say(f"Not confirmed: {error}")
                return given
            match _ask_what_now(ask, error, fixed):
                case _Now.SIGN_IN:
                    sign_in(ask, raft_cli.who_of(command, profile, environ), environ)
                case _Now.ANOTHER:
                    return None
                case _Now.BY_HAND:
                    return ask.text("Agent id", None, "--agent-id ID", wrong_agent_id)
            continue
        if given is not None and given != found.agent_id:
            raise ChangeRefused(
                f"--agent-id {given}: the profile {profile} is the agent {found.agent_id};"
                " choose the other profile or the other id"
            )
        ask.say(f"The profile {profile} is the agent {found.agent_id} at {found.server}")
        if found.unconfirmed:
            ask.say(f"  Raft could not be asked whether that is still so: {found.unconfirmed}.")
        if ask.sure("Is that the one", default=True, unasked=True):
            return found.agent_id
        if fixed:
            raise ChangeRefused(
                f"the profile {profile} is another agent; `raftsup setup` signs the right one in,"
                " as another profile"
            )
        return None
