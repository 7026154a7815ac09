"""What is installed is the product, and nothing that only the tests stand on."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_the_tests_stand_on_is_not_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["options.packages.find"]["include"].split() == ["raftsup", "raftsup.*"]
    names = {path.stem for path in (ROOT / "raftsup").rglob("*.py")}
    fixtures = {path.stem for path in (ROOT / "tests/support/openclaw").glob("[a-z]*.py")}
    assert "model" in fixtures and "gateway" in fixtures
    # The product has modules of these names too, which are other things.
    assert fixtures & names <= {"model"}
    assert "model_turn" not in names
