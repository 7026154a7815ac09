"""Where the CLI keeps profiles and bridges, as RAFT_PROTOCOL has it."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from raftsup import raft_home

GOOD = {"serverUrl": "https://raft.invalid", "agentId": "a-1", "apiKey": "sk_agent_secret"}


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/h"}, "/h/.slock/profiles/p"),
        ({"HOME": "/h", "SLOCK_HOME": "/s"}, "/s/profiles/p"),
        ({"HOME": "/h", "SLOCK_HOME": "/s", "RAFT_HOME": "/r"}, "/r/profiles/p"),
        ({"HOME": "/h", "RAFT_HOME": "/r", "SLOCK_PROFILE_DIR": "/one"}, "/one"),
        ({"RAFT_PROFILE_DIR": "/one", "RAFT_HOME": "/r"}, "/one"),
        ({"RAFT_PROFILE_DIR": "", "RAFT_HOME": "/r"}, "/r/profiles/p"),
    ],
)
def test_the_order_of_the_places(environ: dict[str, str], folder: str) -> None:
    assert raft_home.profile_dir("p", environ) == Path(folder)


def test_the_bridges_folder_is_named_by_the_agent() -> None:
    environ = {"RAFT_HOME": "/r"}
    found = raft_home.bridge_state_dir("p", "agent/1 ü", environ)
    assert found == Path("/r/profiles/p/agent-comms-core/agent_1__/default")
    environ["RAFT_AGENT_BRIDGE_STATE_DIR"] = "/b"
    assert raft_home.bridge_state_dir("p", "agent", environ) == Path("/b")


def test_who_is_signed_in_is_told_without_the_key(tmp_path: Path) -> None:
    environ = {"RAFT_HOME": str(tmp_path)}
    assert raft_home.signed_in(environ) == []
    for slug, text in {
        "sales": json.dumps(GOOD),
        "broken": "{",
        "short": json.dumps({"agentId": "a"}),
        ".hidden": json.dumps(GOOD),
    }.items():
        (tmp_path / "profiles" / slug).mkdir(parents=True)
        (tmp_path / "profiles" / slug / "credential.json").write_text(text)
    (tmp_path / "profiles" / "empty").mkdir()
    (tmp_path / "profiles" / "file").write_text("")
    (tmp_path / "profiles" / "pipe").mkdir()
    os.mkfifo(tmp_path / "profiles" / "pipe" / "credential.json")
    [found] = raft_home.signed_in(environ)
    assert found == raft_home.SignedIn("sales", "a-1", "https://raft.invalid")
    assert "secret" not in repr(found)


def test_one_profiles_own_folder_is_that_one(tmp_path: Path) -> None:
    (tmp_path / "credential.json").write_text(json.dumps(GOOD))
    environ = {"RAFT_PROFILE_DIR": str(tmp_path), "RAFT_PROFILE": "sales"}
    assert [p.slug for p in raft_home.signed_in(environ)] == ["sales"]


@pytest.mark.parametrize(
    ("host", "shell", "told", "typed"),
    [
        ({"RAFT_HOME": "/a"}, {"RAFT_HOME": "/a/"}, "", ""),
        ({"RAFT_HOME": "/a"}, {"SLOCK_HOME": "/a"}, "", ""),
        ({"RAFT_HOME": "/a b"}, {"RAFT_HOME": "/b"},
         "the host's RAFT_HOME is /a b, yours is /b", "RAFT_HOME='/a b' "),
        ({"HOME": "/h"}, {"HOME": "/h", "RAFT_HOME": "/b"},
         "the host's RAFT_HOME is /h/.slock, yours is /b", "RAFT_HOME=/h/.slock "),
        ({"RAFT_HOME": "/a"}, {"RAFT_HOME": "/a", "SLOCK_PROFILE_DIR": "/one"},
         "the host's RAFT_PROFILE_DIR is not set, yours is /one",
         "SLOCK_PROFILE_DIR= RAFT_HOME=/a "),
        ({"RAFT_PROFILE_DIR": "/one"}, {"RAFT_HOME": "/b"},
         "the host's RAFT_PROFILE_DIR is /one, yours is not set", "RAFT_PROFILE_DIR=/one "),
        ({"RAFT_PROFILE_DIR": "/one"}, {"SLOCK_PROFILE_DIR": "/one", "RAFT_HOME": "/b"}, "", ""),
    ],
)  # fmt: skip
def test_another_place_than_the_hosts_is_told_and_typed_before_a_command(
    host: dict[str, str], shell: dict[str, str], told: str, typed: str
) -> None:
    theirs, yours = raft_home.place(host), raft_home.place(shell)
    assert raft_home.difference(theirs, yours) == told
    assert raft_home.prefix(host, shell) == typed
    words = (word.partition("=") for word in shlex.split(typed))
    assert raft_home.place({**shell, **{k: v for k, _, v in words}}).is_as(theirs)
    assert raft_home.place(theirs.within(shell)).is_as(theirs)


@pytest.mark.parametrize("name", raft_home.PLACES)
def test_what_can_be_no_folder_for_every_command_alike_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for value, words in {
        "raft": "wherever a command is started",
        "./raft": "wherever a command is started",
        "~/raft": "takes the ~ of ~/raft for a name",
        str(tmp_path / "file"): "is not a folder",
    }.items():
        [(variable, what, hint)] = raft_home.wrong({name: value})
        assert variable == name and words in what and hint
    for value in ("", str(tmp_path), str(tmp_path / "missing")):
        assert list(raft_home.wrong({name: value})) == []
    assert raft_home.missing({name: str(tmp_path)}) == raft_home.missing({}) == ""
    assert f"{name} is {tmp_path}/none" in raft_home.missing({name: f"{tmp_path}/none"})
