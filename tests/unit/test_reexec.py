"""raftsup starts itself from wherever somebody was, and runs nothing that lies there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raftsup.proc import reexec


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a file that is named as a module of Python's."""
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger was run')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("module", ["raftsup", "raftsup.ledger.integrity"])
def test_a_file_in_the_current_folder_takes_no_modules_place(strange: Path, module: str) -> None:
    done = subprocess.run(
        reexec.argv(module, "--help"), capture_output=True, text=True, check=False
    )
    assert "a stranger" not in done.stderr
    assert module != "raftsup" or done.returncode == 0


def test_a_package_that_lies_in_the_current_folder_is_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(reexec.__file__).parents[1])
    assert reexec.argv("raftsup", "up") == [sys.executable, "-m", "raftsup", "up"]
