"""Every failure signature of OpenClaw's Gateway runbook and of its Raft channel page is provoked,
and the words that a person reads are checked. ``signatures.py`` is the table.

Many are provoked where their part is tested; those of one account in ``test_signatures_host.py``;
here is what somebody types who knows the pages and not raftsup.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from raftsup import exit_codes
from raftsup.cli.main import main
from raftsup.ops.service import install
from tests.acceptance.signatures import SIGNATURES, Signature
from tests.integration.host import AGENT, Host, running


@pytest.mark.parametrize("row", SIGNATURES, ids=lambda row: f"{row.told}: {row.test}")
def test_each_signature_has_a_test_that_looks_for_its_words(row: Signature) -> None:
    module, _, name = row.test.partition(":")
    name, _, case = name.rstrip("]").partition("[")
    found = import_module(f"tests.{module}")
    function = getattr(found, name)
    assert name.startswith("test_") and callable(function)
    marks = getattr(function, "pytestmark", [])
    assert "skip" not in {mark.name for mark in marks}
    looked_for = inspect.getsource(function)
    if case:
        ((table,),) = [m.args[1:] for m in marks if m.name == "parametrize"]
        looked_for = repr(table[case])
    if not row.says.startswith("("):
        assert not [words for words in row.says.split("…") if words not in looked_for]


@dataclass(frozen=True)
class Typed:
    """What somebody writes into the file, or types."""

    says: tuple[str, ...]
    #: Put into the config, at its top and below ``channels.raft``.
    top: dict[str, Any] = field(default_factory=dict)
    channel: dict[str, Any] = field(default_factory=dict)
    #: Done to the text of the file; None for no file.
    text: Callable[[str], str | None] = lambda text: text
    words: tuple[str, ...] = ("up",)
    code: int = exit_codes.CONFIG


def _agent(**agent: str) -> dict[str, Any]:
    return {"turns": {"agent": agent}}


_ADDRESS = ("gateway: unknown key", "no bind, port or mode", "raftsup setup --from-openclaw")
TYPED = {
    "gateway.bind": Typed(_ADDRESS, top={"gateway": {"bind": "lan", "port": 18789}}),
    "gateway.mode": Typed(_ADDRESS, top={"gateway": {"mode": "remote"}}),
    "channels.raft.port": Typed(
        ("channels.raft.port: unknown key", "listens on 127.0.0.1", "take it out"),
        channel={"port": 18789},
    ),
    "--bind": Typed(("--bind: every endpoint listens on 127.0.0.1",),
                    words=("up", "--bind", "lan"), code=exit_codes.USAGE),
    "--port": Typed(("--port: every endpoint listens on 127.0.0.1", "no port to choose"),
                    words=("up", "--port=18789"), code=exit_codes.USAGE),
    "a Gateway elsewhere": Typed(
        ("turns.agent.url: ws:// would send the key in the clear", "a tunnel on 127.0.0.1"),
        top=_agent(kind="openclaw", url="ws://gateway.example:18789", token="t"),
    ),
    "no secret": Typed(
        ("turns.agent.token: the environment variable NO_SUCH_TOKEN is not set",
         "set NO_SUCH_TOKEN where raftsup is started"),
        top=_agent(kind="openclaw", url="ws://127.0.0.1:9", token="${NO_SUCH_TOKEN}"),
    ),
    "no key file": Typed(
        ('turns.agent.apiKeyFile: cannot read "/nowhere/key": No such file or directory',
         "readable for this user"),
        top=_agent(kind="openai", baseUrl="http://127.0.0.1:9/v1", model="m",
                   apiKeyFile="/nowhere/key"),
    ),
    "one profile twice": Typed(
        ("channels.raft.accounts.two.profile: the same Raft CLI profile as"
         " channels.raft.accounts.one.profile", "a profile of its own"),
        channel={"accounts": {"one": {"profile": "p"}, "two": {"profile": "p"}}},
    ),
    "no account": Typed(("there is no account", "write accounts:"), channel={"accounts": {}}),
    "no file": Typed(("there is no config file", "raftsup setup"), text=lambda text: None),
    "cut off": Typed(("is not JSON5", "close what is still open"), text=lambda text: text[:-2]),
}  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host that is never started."""
    with running(("support",)) as host:
        yield host


@pytest.mark.parametrize("case", TYPED)
def test_what_the_pages_know_and_raftsup_does_not_is_refused(host: Host, case: str) -> None:
    typed = TYPED[case]
    host.configure({"support": {}})
    tree = json.loads(host.config_path.read_text())
    tree["channels"]["raft"] |= typed.channel
    text = typed.text(json.dumps(tree | typed.top, indent=2))
    host.config_path.unlink()
    if text is not None:
        host.config_path.write_text(text)
    done = host.run(*typed.words)
    assert (done.returncode, done.stdout) == (typed.code, "")
    assert not [words for words in typed.says if words not in done.stderr], done.stderr
    assert typed.code == exit_codes.USAGE or str(host.config_path) in done.stderr
    assert not host.state.root.exists(), "nothing was started"


def test_what_is_fixed_as_it_was_told_is_good(host: Host) -> None:
    agent = {"kind": "openclaw", "url": "ws://127.0.0.1:9", "token": "${NO_SUCH_TOKEN}"}
    host.configure({"support": {"agent": AGENT}, "sales": {"agent": agent}})
    assert host.run("config", "check").returncode == exit_codes.CONFIG
    assert host.run("config", "check", NO_SUCH_TOKEN="t").returncode == exit_codes.OK
    host.configure({"default": {"profile": ""}})
    assert "or set RAFT_PROFILE" in host.run("status").stdout
    fixed = host.run("status", RAFT_PROFILE="support").stdout
    assert "RAFT_PROFILE" not in fixed and "default" in fixed


@pytest.mark.skipif(sys.platform != "linux", reason="units of systemd")
def test_a_service_that_would_end_with_its_users_login_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Whether this user lingers is the machine's to say.
    monkeypatch.setattr(install, "ends_with_login", lambda _: True)
    host.configure({"support": {}})
    (host.root / "systemctl").symlink_to("/bin/true")
    home, path = str(host.root), f"{host.root}:{os.environ['PATH']}"
    for name, value in {**host.environ(), "HOME": home, "XDG_CONFIG_HOME": home}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", path)
    assert main(["install"]) == exit_codes.OK
    assert "it stops when" in (said := capsys.readouterr().out)
    assert "sudo loginctl enable-linger" in said
    assert main(["doctor"]) == exit_codes.OK
    assert "fix:  loginctl enable-linger" in capsys.readouterr().out
