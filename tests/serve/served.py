"""What the tests of serving share: where the server seems to be, and a shop's oddest ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HERE = "http://127.0.0.1:8000"
SCRIPT = "<script>alert(1)</script>"
ODD_IDS = (
    *("a/b", "a/b/photo", "/", "a b", " ", "100%", "%2F", "x?y#z", "a\\b", "a;b,c", "+", "'\"", SCRIPT, "{id}", "..a"),
    *(
        "\u00e9",
        "e\u0301e",
        "\u65e5\u672c",
        "\U0001f457",
        "\u202eabc",
        "\u200b",
        "a\u0000b",
        "a\nb",
        "\ufeff",
        "\U000e0041",
    ),
)
Client = Callable[..., Any]
