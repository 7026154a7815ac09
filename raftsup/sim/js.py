"""What the CLI has of its language: how it writes JSON, and its own errors."""

from __future__ import annotations

import json
import re
from typing import Any


class JsTypeError(ValueError):
    """The CLI trips over a value that is not there."""

    @classmethod
    def of_null(cls, field: str) -> JsTypeError:
        return cls(f"Cannot read properties of null (reading '{field}')")


def dumps(value: Any, indent: int | None = None) -> str:
    """Without spaces and in UTF-8, as it writes it."""
    between = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, separators=between, indent=indent)
    # Half a character has no UTF-8.
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)
