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


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("This image shows a red coat.", "A red coat."),
        ("The image features a red coat. It is long.", "A red coat. It is long."),
        ("The photo prominently displays: a red coat.", "A red coat."),
        ("The picture is of a red coat.", "A red coat."),
        ("This is a photo of a red coat.", "A red coat."),
        ("This is a close-up photo of a red coat.", "A red coat."),
        ("In this image, we can see a red coat.", "A red coat."),
        ("In the photo, there is a red coat.", "A red coat."),
        ("In the image, a woman wears a red coat.", "A woman wears a red coat."),
        ("The product in the image is a red coat.", "A red coat."),
        ("Here is a description of the product: Red coat.", "Red coat."),
        ("Here's a short description:\n\nRed coat.", "Red coat."),
        ("Sure! Here is a caption for this picture: The image shows a red coat.", "A red coat."),
        ("Certainly, here are three sentences about the item: Red. Long. Warm.", "Red. Long. Warm."),
        ("**Here is a description of the image:** Red coat.", "Red coat."),
        ("<think>\n\n</think>\n\nRed coat.", "Red coat."),
        ("<think>A coat? It is red.</think>This image shows a red coat.", "A red coat."),
        ("<think>A coat? It is", ""),
        ("The image displays 501 jeans.", "501 jeans."),
    ],
)
def test_openings_and_thoughts_of_a_general_model_go(answer: str, caption: str) -> None:
    assert clean_caption(answer, cut_off=False, general=True) == caption


@pytest.mark.parametrize(
    "caption",
    [
        "Red coat. This image shows the back of it.",
        "The image on the front shows a lion.",
        "The picture frame is of oak.",
        "A picture of a lion on a white T-shirt.",
        "Image print T-shirt, black.",
        "Photo album with 40 pages.",
        "Here is a bag with two colours: red and blue.",
        "Here comes the sun: a yellow dress.",
        "This image-printed shirt has short sleeves.",
        "This photograph album features a leather cover.",
        "These pictures hang together as a set of three.",
        "This is a red coat.",
        "This is an image stabiliser for cameras.",
        "The product is a red coat.",
        "In the image of the 1950s, a wide skirt.",
        "This image shows",
        "Here is a description:",
    ],
)
def test_a_caption_that_is_meant_stays(caption: str) -> None:
    assert clean_caption(caption, cut_off=False, general=True) == caption


@pytest.mark.parametrize("answer", ["This image shows a red coat.", "In this image, we can see a red coat."])
def test_what_a_model_trained_to_caption_says_is_left_as_it_is(answer: str) -> None:
    assert clean_caption(answer, cut_off=False) == answer
