"""The question is put into the model's own chat form, with the photo's marker in it once."""

from __future__ import annotations

import pytest

from vlm4rec_edge.errors import ModelError
from vlm4rec_edge.grounding.llama.captioner import LlamaCaptioner
from vlm4rec_edge.grounding.llama.prompt import ChatForm
from vlm4rec_edge.models.gguf import read_header

MARKER = "<__media__>"
# The forms of three families: content as parts, content joined, and a form that allows no such message.
PARTS = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
LOOP_CONTROLS = "{% for part in messages[0]['content'] %}{% if loop.index > 1 %}{% break %}{% endif %}x{% endfor %}"


def _render(template: str, question: str) -> str:
    return ChatForm(template, "<s>", "</s>").render(question, MARKER)


def test_a_turn_holds_the_marker_before_the_question_and_ends_where_the_answer_begins() -> None:
    assert _render(PARTS, "What is it?") == f"<s>User:{MARKER}What is it?<end>\nAssistant:"


@pytest.mark.parametrize("question", [f"a {MARKER} b", MARKER, f"{MARKER}{MARKER} c", f"<__me{MARKER}dia__> d"])
def test_a_marker_in_a_title_is_taken_out(question: str) -> None:
    assert _render(PARTS, question).count(MARKER) == 1


def test_braces_in_a_question_are_text_and_no_program() -> None:
    assert "{{ 7 * 7 }}{% endfor %}" in _render(PARTS, "{{ 7 * 7 }}{% endfor %}")


def test_templates_may_use_what_templates_of_models_use() -> None:
    assert _render(LOOP_CONTROLS, "What?") == "x"


def test_a_model_that_can_think_is_told_not_to() -> None:
    asks = "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% else %}<think>{% endif %}"
    assert _render(asks, "What?") == "<think></think>"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for %}", "Expected"),
        ("{{ raise_exception('only text, please') }}", "only text, please"),
        ("{{ messages.nothing.more }}", "no attribute 'nothing'"),
        ("{{ messages + 1 }}", "list"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
    ],
)
def test_a_template_that_fails_or_reaches_out_is_a_sentence(template: str, reason: str) -> None:
    with pytest.raises(ModelError, match=f"chat template cannot be used: .*{reason}"):
        _render(template, "What?")


def test_the_embedded_model_is_asked_as_it_was_trained(captioner: LlamaCaptioner) -> None:
    """See the model card: it answers only this form."""
    header = read_header(captioner.files.text)
    form = ChatForm(str(header.metadata["tokenizer.chat_template"]), "", "</s>")
    assert form.render("Describe this product.", MARKER) == (
        f"User:{MARKER}Describe this product.<end_of_utterance>\nAssistant:"
    )
