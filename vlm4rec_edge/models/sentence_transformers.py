"""What the files of a sentence-transformers folder say of an encoder: which layers, which pooling, how long a text."""

from __future__ import annotations

import json
from collections.abc import Container
from pathlib import Path
from typing import Any

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.models.manifest import TokenPooling

_POOLING, _FLAG = Path("1_Pooling/config.json"), "pooling_mode_"
_KNOWN_POOLINGS: dict[str, TokenPooling] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    "lasttoken": "last",
}
# What stands after the transformer and changes nothing that is not done here as well.
_KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
# A tokenizer without a limit writes a number beyond this.
_LONGEST = 100_000


def modules_of(folder: Path) -> list[tuple[str, str]]:
    """Return the class and the folder of each layer that ``modules.json`` names, in order."""
    modules = _list(folder / "modules.json")
    return [(str(module.get("type", "")).rpartition(".")[2], str(module.get("path", ""))) for module in modules]


def pooling_of(folder: Path, *, also: Container[str] = ()) -> TokenPooling | None:
    """Return how a folder's token vectors become one, or None where nothing is said of it.

    ``also`` names the classes of further layers that the caller does itself.

    Raises:
        ModelError: the pooling is another, several at once, or followed by a further layer.
    """
    if further := [name for name, _ in modules_of(folder) if name not in _KNOWN_MODULES and name not in also]:
        raise ModelError(
            f"{folder} has a layer after its pooling ({', '.join(further)}, in modules.json), which would be left out; take a "
            "model of transformer, pooling and normalisation alone."
        )
    said = _object(folder / _POOLING)
    if not said:
        return None
    # Versions from 5.5 on write one word, those before a flag for each mode.
    given = said.get(
        "pooling_mode", [name for name, chosen in said.items() if chosen is True and name.startswith(_FLAG)]
    )
    modes = [given] if isinstance(given, str) else [str(mode) for mode in given]
    asked = [mode.removeprefix(_FLAG) for mode in modes]
    if len(asked) == 1 and asked[0] in _KNOWN_POOLINGS:
        return _KNOWN_POOLINGS[asked[0]]
    raise ModelError(
        f"{folder / _POOLING} asks for a pooling other than mean, cls or lasttoken alone: {', '.join(asked) or 'none'}."
    )


def longest_text_of(folder: Path) -> int | None:
    """Return the longest text in tokens that a sentence-transformers folder names, or None."""
    said = [_object(folder / "sentence_bert_config.json").get("max_seq_length")]
    if (folder / _POOLING).is_file():
        said.append(_object(folder / "tokenizer_config.json").get("model_max_length"))
    return next((length for length in said if isinstance(length, int) and 0 < length < _LONGEST), None)


def _object(path: Path) -> dict[str, Any]:
    content = _content(path)
    return content if isinstance(content, dict) else {}


def _list(path: Path) -> list[dict[str, Any]]:
    content = _content(path)
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def _content(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}).") from error
