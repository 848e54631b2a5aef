"""A caption is one line of plain text, whatever the model made of its answer."""

from __future__ import annotations

import pytest

from vlm4rec_edge.grounding.clean import clean_caption


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("Red coat for women.", "Red coat for women."),
        ("  Red coat\n\nfor   women.\t", "Red coat for women."),
        ("Assistant: Red coat.", "Red coat."),
        ("\nDescription: Red coat.", "Red coat."),
        ("Red coat.<end_of_utterance>", "Red coat."),
        ("<|im_start|>Red coat.<|im_end|>", "Red coat."),
        ("**Red** _coat_ with `buttons`.", "Red coat with buttons."),
        ("# Red coat", "Red coat"),
        ("5-pocket jeans, 98 % cotton (2 % elastane).", "5-pocket jeans, 98 % cotton (2 % elastane)."),
        ("A crêpe dress – naïve & “plain”.", "A crêpe dress – naïve & “plain”."),  # noqa: RUF001
        ("", ""),
        (" \n<end_of_utterance>", ""),
    ],
)
def test_marks_of_models_and_markdown_go_and_words_stay(answer: str, caption: str) -> None:
    assert clean_caption(answer, cut_off=False) == caption


def test_an_answer_that_was_cut_off_ends_at_its_last_whole_sentence() -> None:
    assert (
        clean_caption("Red coat. It has two pockets. It is lined with", cut_off=True) == "Red coat. It has two pockets."
    )
    assert clean_caption("Red coat in soft", cut_off=True) == "Red coat in soft"
    assert clean_caption("Costs 9.50 and has", cut_off=True) == "Costs 9.50 and has"
    assert clean_caption("Red coat. It has two", cut_off=False) == "Red coat. It has two"
