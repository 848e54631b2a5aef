"""A prompt is a question with placeholders that the catalog fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.grounding.llama.prompt import DEFAULT_PROMPT, Prompt
from vlm4rec_edge.items import Item

COAT = Item("c-1", Path("c.jpg"), "Red coat", {"brand": "Acme", "price.eur": "9.50", "sale price": "8"})


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Describe it.", "Describe it."),
        ("A {title} by {brand}, id {id}.", "A Red coat by Acme, id c-1."),
        ("{brand}{brand}", "AcmeAcme"),
        ("{price.eur} or {sale price}", "9.50 or 8"),
        ("{unknown_column}Describe it.", "Describe it."),
        ("As JSON: {{}} {{title}}", "As JSON: {} {title}"),
        ("  {title}  ", "Red coat"),
    ],
)
def test_placeholders_are_filled_from_the_item(text: str, question: str) -> None:
    assert Prompt(text).fill(COAT) == question


def test_a_title_with_braces_is_not_filled_again() -> None:
    assert Prompt("{title}").fill(Item("1", Path("a.jpg"), "{id} {brand}", {"brand": "Acme"})) == "{id} {brand}"


def test_a_column_named_title_or_id_never_hides_the_real_one() -> None:
    assert Prompt("{title} {id}").fill(Item("1", Path("a.jpg"), "T", {"title": "x", "id": "y"})) == "T 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("Describe {title", "lone brace"),
        ("Describe title}", "lone brace"),
        ("Describe {}", "has the placeholder"),
        ("Describe {title!r}", "has the placeholder"),
        ("Describe {title:>10}", "has the placeholder"),
    ],
)
def test_what_is_no_prompt_is_refused_when_it_is_made(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Prompt(text)


def test_a_placeholder_without_its_column_names_it_and_the_columns_there_are() -> None:
    with pytest.raises(UsageError, match=r"asks for \{brnd\}, but the catalog has only: title, id, brand, price"):
        Prompt("{title} {brnd}").check_columns(["brand", "price"])
    Prompt("{title} {id} {brand}").check_columns(["brand"])
    assert Prompt("{b} {a} {b}").fields == ("b", "a")


def test_the_default_prompt_asks_for_what_the_paper_asks() -> None:
    for subject in ("appearance", "style", "colour", "materials", "use", "occasion"):
        assert subject in DEFAULT_PROMPT
    assert Prompt(DEFAULT_PROMPT).fields == ()
