"""A shell whose Raft CLI looks elsewhere than the running host's: commands look where the host
does, and say so.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftsup import exit_codes
from tests.integration.host import Host, running, wait_for


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Signed in for support and sales, running support."""
    with running(("support", "sales")) as host:
        host.configure({"support": {}})
        host.up()
        host.ready()
        yield host


@pytest.fixture
def elsewhere(tmp_path: Path, host: Host) -> dict[str, str]:
    """An environment with an empty place of its own."""
    return {"RAFT_HOME": str(tmp_path)}


def sentence(host: Host, elsewhere: dict[str, str]) -> str:
    return f"the host's RAFT_HOME is {host.root}, yours is {elsewhere['RAFT_HOME']}"


def test_doctor_says_it_once_and_judges_what_the_host_has(
    host: Host, elsewhere: dict[str, str]
) -> None:
    done = host.run("doctor", "--json", **elsewhere)
    found = [f for f in json.loads(done.stdout)["findings"] if f["severity"] != "good"]
    assert done.returncode == exit_codes.OK, found
    [one] = found
    assert (one["check"], one["what"]) == ("raft home", sentence(host, elsewhere))
    assert one["fix"] == f"export RAFT_HOME={shlex.quote(str(host.root))}"


def test_a_command_that_doctor_suggests_signs_in_where_the_host_looks(
    host: Host, elsewhere: dict[str, str]
) -> None:
    credential = host.profiles / "support" / "credential.json"
    aside = credential.rename(host.root / "aside")
    try:
        found = json.loads(host.run("doctor", "--json", **elsewhere).stdout)["findings"]
        here = json.loads(host.run("doctor", "--json").stdout)["findings"]
    finally:
        aside.rename(credential)
    [there], [plain] = ([f["fix"] for f in told if f["check"] == "profiles"
                         and f["severity"] == "fail"] for told in (found, here))  # fmt: skip
    assert there == f"RAFT_HOME={shlex.quote(str(host.root))} {plain}"


def test_status_has_a_line_of_it(host: Host, elsewhere: dict[str, str]) -> None:
    assert sentence(host, elsewhere) in host.run("status", **elsewhere).stdout
    assert "RAFT_HOME" not in host.run("status").stdout
    done = host.run("status", "--probe", "--json", **elsewhere)
    assert json.loads(done.stdout)["raft"] == {"reason": sentence(host, elsewhere)}
    assert done.returncode == exit_codes.OK, done.stdout


def test_setup_and_account_add_ask_the_hosts_profiles(
    host: Host, elsewhere: dict[str, str]
) -> None:
    before = host.config_path.read_text()
    added = host.run("account", "add", "sales", "--profile", "sales", **elsewhere)
    assert added.returncode == exit_codes.OK, added.stderr
    assert added.stdout.startswith(f"Note: {sentence(host, elsewhere)}; the host's is used.\n")
    kept = host.run("setup", "--profile", "sales", "--yes", "--no-check", **elsewhere)
    assert kept.returncode == exit_codes.OK, kept.stderr
    assert kept.stdout.count(sentence(host, elsewhere)) == 1
    assert "the agent agent-sales at" in kept.stdout
    assert host.run("account", "remove", "sales", **elsewhere).returncode == exit_codes.OK
    assert host.config_path.read_text() == before


@pytest.mark.parametrize("value", ["raft", "~/raft", "{file}"])
def test_what_can_be_no_folder_is_refused_where_it_counts(
    value: str, host: Host, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    value = value.format(file=tmp_path / "file")
    env = {"RAFT_HOME": value, "RAFTSUP_STATE_DIR": str(tmp_path / "s")}
    up = host.run("up", **env)
    assert up.returncode == exit_codes.CONFIG and "RAFT_HOME in the environment: " in up.stderr
    for words in (("setup", "--profile", "sales", "--yes"),
                  ("account", "add", "sales", "--profile", "sales")):  # fmt: skip
        done = host.run(*words, **env)
        assert done.returncode == exit_codes.FAILED, done.stdout
        assert "RAFT_HOME in the environment: " in done.stderr and value in done.stderr
    found = json.loads(host.run("doctor", "--json", **env).stdout)["findings"]
    [told] = [f for f in found if "RAFT_HOME" in f["what"]]
    assert told["severity"] == "fail" and value in told["what"]
    # Where a host runs it is the host's that counts.
    assert host.run("doctor", RAFT_HOME=value).returncode == exit_codes.OK


def test_a_folder_that_is_missing_is_told_of(host: Host, tmp_path: Path) -> None:
    env = {"RAFT_HOME": str(tmp_path / "none"), "RAFTSUP_STATE_DIR": str(tmp_path / "s")}
    told = f"RAFT_HOME is {tmp_path}/none, which is not there"
    found = json.loads(host.run("doctor", "--json", **env).stdout)["findings"]
    assert [f["severity"] for f in found if told in f["what"]] == ["warning"]
    done = host.run("setup", "--profile", "sales", "--yes", **env)
    assert told in done.stdout and done.returncode == exit_codes.FAILED
    up = host.start("up", **env)
    try:
        wait_for(lambda: told in host.said())
    finally:
        up.terminate()
        up.wait(20)


def test_a_restart_by_hand_says_that_the_place_is_another_then(
    host: Host, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(host.profiles, tmp_path / "profiles")
    done = host.run("restart", **elsewhere)
    assert done.returncode == exit_codes.OK, done.stderr
    assert f"Note: {sentence(host, elsewhere)}; it is started again with yours." in done.stdout
    host.ready("support")
    assert "RAFT_HOME" not in host.run("status", **elsewhere).stdout
