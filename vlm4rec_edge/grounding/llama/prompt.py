"""What the model is asked about a photo, and how the question is put into the model's own chat form."""

from __future__ import annotations

import string
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.items import Item

# The paper's question (Valencia et al., arXiv 2603.12625, grounding step): appearance, style, materials, colour and use,
# short enough that a caption costs seconds and not a minute.
DEFAULT_PROMPT = (
    "Describe this product for a recommendation system: its visual appearance, style, colour, materials and design "
    "features, and the use or occasion it suits. Two or three plain sentences."
)


@dataclass(frozen=True)
class Prompt:
    """A question with optional placeholders: ``{title}``, ``{id}`` and any attribute column, e.g. ``{brand}``.

    A literal brace is doubled, as in Python's format strings.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse what is no prompt.

        Raises:
            UsageError: the prompt is empty, has a lone brace, or a placeholder that is more than a name.
        """
        if not self.text.strip():
            raise UsageError("The prompt is empty; leave it out to use the model's own.")
        self._parts()

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the placeholders, in order of their first use."""
        return tuple(dict.fromkeys(name for _, name in self._parts() if name is not None))

    def check_columns(self, columns: Collection[str]) -> None:
        """Refuse a placeholder that no row of the catalog can fill.

        Raises:
            UsageError: a placeholder names neither ``title`` nor ``id`` nor one of ``columns``.
        """
        unknown = [name for name in self.fields if name not in {"title", "id", *columns}]
        if unknown:
            known = ", ".join(["title", "id", *columns])
            raise UsageError(f"The prompt asks for {{{unknown[0]}}}, but the catalog has only: {known}.")

    def fill(self, item: Item) -> str:
        """Return the question for one item; an attribute that the item lacks becomes empty."""
        values = {**item.attributes, "title": item.title, "id": item.id}
        return "".join(
            literal + ("" if name is None else values.get(name, "")) for literal, name in self._parts()
        ).strip()

    def _parts(self) -> list[tuple[str, str | None]]:
        try:
            parts = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise UsageError(f"The prompt {self.text!r} has a lone brace ({error}); double it to mean it.") from None
        for _, name, form, conversion in parts:
            if name is not None and (not name or form or conversion):
                raise UsageError(
                    f"The prompt {self.text!r} has the placeholder {{{name}}}; write {{title}} or a column."
                )
        return [(literal, name) for literal, name, _, _ in parts]


@dataclass(frozen=True)
class ChatForm:
    """A model's chat template (Jinja, from its GGUF file) with the texts it may use for begin and end of text."""

    template: str
    bos_token: str
    eos_token: str

    def render(self, question: str, photo_marker: str) -> str:
        """Return the text of one user turn with a photo, up to where the model's answer begins.

        The marker that llama.cpp replaces by the image tokens stands before the question, where every family of models
        saw it in training; a marker that the question itself spells is taken out.

        Raises:
            ModelError: the template cannot be rendered.
        """
        while photo_marker in question:  # taking one out may join the halves of another
            question = question.replace(photo_marker, "")
        parts: list[dict[str, Any]] = [
            {"type": "text", "text": photo_marker},
            {"type": "text", "text": question},
        ]
        try:
            rendered: str = _compiled(self.template).render(
                messages=[{"role": "user", "content": parts}],
                add_generation_prompt=True,
                bos_token=self.bos_token,
                eos_token=self.eos_token,
                enable_thinking=False,  # a caption is wanted, not the thoughts before it (Qwen3.5, Gemma 4 and others)
                raise_exception=_refuse,
            )
            return rendered
        except Exception as error:  # a template is a program and may fail like one, with a TypeError for example
            raise ModelError(f"The model's chat template cannot be used: {error}.") from error


@lru_cache(maxsize=8)  # compiling takes as long as captioning a tenth of a photo with a very small model
def _compiled(template: str) -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # a template is a program out of a downloaded file

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    return environment.from_string(template)


def _refuse(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)
