"""Prompt pieces out of chat templates of the kinds that are about."""

from __future__ import annotations

import pytest

from lorgnette.export.architectures.idefics3 import CHAT_TEMPLATE as SMOLVLM
from lorgnette.export.chat_template import PromptPieces, prompt_pieces
from lorgnette.export.llama import WeightsFormatError

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{{ '<image>\n' if part.type == 'image' else part.text }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday: {{ strftime_now('%d %b %Y') }}<|eot_id|>"
    "{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{{ message.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def test_smolvlm() -> None:
    assert prompt_pieces(SMOLVLM, {}, "<image>") == PromptPieces(
        opening="<|im_start|>",
        before_image="User:",
        before_question="User: ",
        after_image="",
        end_of_question="<end_of_utterance>\nAssistant:",
        before_answer=" ",
        end_of_answer="<end_of_utterance>\n",
    )


def test_chatml_with_a_picture() -> None:
    assert prompt_pieces(CHATML, {}, "<image>") == PromptPieces(
        opening="",
        before_image="<|im_start|>user\n",
        before_question="<|im_start|>user\n",
        after_image="\n",
        end_of_question="<|im_end|>\n<|im_start|>assistant\n",
        before_answer="",
        end_of_answer="<|im_end|>\n",
    )


def test_a_system_message_is_part_of_the_opening() -> None:
    """Where it is cut between two pieces does not matter, as long as they come one after the other."""
    pieces = prompt_pieces(LLAMA3, {"bos_token": "<|begin_of_text|>"})
    system = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday: 26 Jul 2024<|eot_id|>"
    user = "<|start_header_id|>user<|end_header_id|>\n\n"
    assert pieces.opening + pieces.before_question == system + user
    assert pieces.end_of_answer + pieces.before_question == "<|eot_id|>" + user


def test_a_picture_within_the_text() -> None:
    """nanoVLM's way: a message is one text, which the picture begins."""
    template = "{% for m in messages %}<{{ m['role'] + '>' + m['content'] + '.' }}{% endfor %}<assistant>"
    pieces = prompt_pieces(template, {}, "<image>", inline=True)
    assert pieces == PromptPieces("", "<user>", "<user>", "", ".<assistant>", "", ".")


def test_other_white_space_before_a_given_answer_is_not_meant() -> None:
    template = (
        "{% for m in messages %}[{{ m.role }}{{ ' ' if m.role == 'assistant' }}\n"
        "{% generation %}{{ m.content }}{% endgeneration %}]{% endfor %}[assistant{{ '\n' }}"
    )
    pieces = prompt_pieces(template, {})
    assert (pieces.end_of_question, pieces.before_answer, pieces.end_of_answer) == ("][assistant\n", "", "]")


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ messages[0].content }}{{ messages[0].content }}", "does not say 'QUESTION-ONE' once"),
        ("{{ messages[0].content }}", "does not say 'ANSWER-ONE' once"),
        ("{% if %}", "Expected an expression"),
        ("{{ raise_exception('no roles here') }}", "no roles here"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ messages.append(1) }}", "not safely callable|access to|unsafe"),
    ],
)
def test_templates_that_cannot_be_used(template: str, complaint: str) -> None:
    with pytest.raises(WeightsFormatError, match=complaint):
        prompt_pieces(template, {})
