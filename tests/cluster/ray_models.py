"""Stand-ins for the models that actors of Ray open by name; the argument says where captions are noted, and how slowly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from made_plugins import MadeEncoder
from made_shards import LoggingCaptioner


def captioner(argument: str) -> Any:
    """Open ``LOG`` or ``LOG,SECONDS`` or ``LOG,SECONDS,WORD``; the last one changes what is made."""
    log, seconds, word = [*argument.split(","), "0", ""][:3] if argument.count(",") < 2 else argument.split(",")
    made = LoggingCaptioner(Path(log), float(seconds or 0))
    made.place = {"process": str(os.getpid())}
    if word:
        made.identity = {"name": "made", "prompt": word}
    return made


def encoder(argument: str) -> Any:
    """Open the encoder; ``dies`` ends the process at its first text, as native code does."""
    if argument == "dies":
        os.abort()
    return MadeEncoder()
