"""Profiles of the simulated CLI lie and are read as the true CLI's."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftsup import raft_home
from raftsup.sim import profiles
from raftsup.sim.profiles import Profile, ProfileError


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/h"}, "/h/.slock/profiles/p"),
        ({"HOME": "/h", "SLOCK_HOME": "/s"}, "/s/profiles/p"),
        ({"HOME": "/h", "SLOCK_HOME": "/s", "RAFT_HOME": "/r"}, "/r/profiles/p"),
        ({"RAFT_HOME": "/r", "SLOCK_PROFILE_DIR": "/one"}, "/one"),
        ({"RAFT_PROFILE_DIR": "/one", "SLOCK_PROFILE_DIR": "/one"}, "/one"),
        # Set and empty: it counts, and hides the other.
        ({"RAFT_HOME": "/r", "RAFT_PROFILE_DIR": "", "SLOCK_PROFILE_DIR": "/one"}, "/r/profiles/p"),
        ({"HOME": "/h", "RAFT_HOME": "", "SLOCK_HOME": "/s"}, "/h/.slock/profiles/p"),
    ],
)
def test_the_places_in_their_order(environ: dict[str, str], folder: str) -> None:
    assert profiles.profile_dir("p", environ) == Path(folder)
    assert raft_home.profile_dir("p", environ) == Path(folder), "the host looks elsewhere"


def test_variables_that_disagree_are_a_conflict() -> None:
    with pytest.raises(ProfileError) as refused:
        profiles.profile_dir("p", {"RAFT_PROFILE_DIR": "/a", "SLOCK_PROFILE_DIR": "/b"})
    assert refused.value.code == "PROFILE_ENV_CONFLICT"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "PROFILE_FILE_UNREADABLE"),
        ("{", "PROFILE_FILE_INVALID"),
        ("[]", "PROFILE_FILE_INVALID"),
        ('{"agentId": "a", "serverUrl": "u"}', "PROFILE_FILE_INVALID"),
    ],
)
def test_a_credential_that_is_none_has_a_code(tmp_path: Path, text: str | None, code: str) -> None:
    if text is not None:
        (tmp_path / "credential.json").write_text(text)
    with pytest.raises(ProfileError) as refused:
        profiles.read("p", {"RAFT_PROFILE_DIR": str(tmp_path)})
    assert refused.value.code == code
    assert str(tmp_path / "credential.json") in str(refused.value)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    environ = {"RAFT_HOME": str(tmp_path)}
    written = Profile("p", "a", "http://u", "sk_agent_x", "s", "ann", "c", ("one",))
    path = profiles.write(profiles.profile_dir("p", environ), written)
    assert profiles.read("p", environ) == written._replace(path=path)
