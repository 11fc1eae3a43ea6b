"""What words mean to the conversation itself: commands, and sounds that are no question. And what it says by itself."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from lorgnette.speech.transcriber import plain_words

STOP, REPEAT, BACKCHANNEL, ECHO, QUESTION = "stop", "repeat", "backchannel", "echo", "question"

_ECHOED = 0.75
_WORD_OVER_ANSWER_S = 0.45
_GUESSED = -0.7
"""Mean log-probability: words made of an echo had -0.9, a "stop" over an answer half of which was left had -0.5."""
_STOP = re.compile(
    r"(?:(?:ok(?:ay)?|no|please|hey) )*(?:stop|stop (?:it|talking|that|now)|be quiet|quiet|shut up|enough|that's enough"
    r"|never mind|cancel|hush|silence)(?: (?:please|now|stop|thanks|thank you))*"
)
_REPEAT = re.compile(
    r"(?:(?:please|sorry|pardon|what) )*(?:repeat(?: (?:that|it|the answer))?|(?:say|tell me) (?:that|it) again"
    r"|(?:can|could) you (?:please )?(?:repeat|say) (?:that|it)(?: again)?|(?:what|pardon) did you say|again"
    r"|come again|once more)(?: please)?"
)
# Sounds of somebody who listens, and what a transcriber writes for coughs and throats.
_LISTENING_SOUNDS = """
m mm mmm mmmm hm hmm hmmm mhm mhmm uhhuh uh huh um umm ah aha oh ooh wow ok okay yeah yep yes yup right sure cool nice
great good i see got it ahem cough coughs coughing sneeze sneezes clears throat laughs laughter breathing sigh sighs you
thank thanks
"""
_BACKCHANNEL = frozenset(_LISTENING_SOUNDS.split())


def meaning(text: str) -> str:
    """STOP, REPEAT, BACKCHANNEL or QUESTION. The assistant asks nothing, so that a yes or a thank-you alone wants no
    answer; neither does what was no speech.

    >>> meaning("Stop, please."), meaning("Say that again."), meaning("Mm-hm."), meaning("Is there a stop sign?")
    ('stop', 'repeat', 'backchannel', 'question')
    """
    plain = " ".join(plain_words(text))
    if _STOP.fullmatch(plain):
        return STOP
    if _REPEAT.fullmatch(plain):
        return REPEAT
    return BACKCHANNEL if all(word in _BACKCHANNEL for word in plain.split()) else QUESTION


def kind(text: str, over: str, speech_s: float, log_probability: float = 0.0) -> str:
    """What was said over the answer `over` ("" for none), with `speech_s` seconds of speech in it; `log_probability` is
    the transcriber's.

    Whatever the echo canceller leaves of an answer's beginning, a transcriber makes words of: over an answer, what it
    only guesses was nothing, and what has next to no speech in it may be a "stop", but is no question.
    """
    if is_echo(text, over):
        return ECHO
    if over and log_probability < _GUESSED:
        return BACKCHANNEL
    found = meaning(text)
    is_noise = bool(over) and speech_s < _WORD_OVER_ANSWER_S
    return BACKCHANNEL if found == QUESTION and is_noise else found


def is_echo(text: str, answer: str) -> bool:
    """Whether `text`, heard while `answer` was, is the assistant's own voice: nearly all of its words are the answer's,
    in their order. The echo canceller comes first; this keeps a conversation with oneself from beginning.

    >>> is_echo("is holding a camera", "A man is holding a camera."), is_echo("Is it a red one?", "A red car.")
    (True, False)
    """
    heard, said = plain_words(text), plain_words(answer)
    same = SequenceMatcher(None, heard, said, autojunk=False).get_matching_blocks()
    return bool(heard) and sum(block.size for block in same) >= _ECHOED * len(heard)


def without_wake_word(text: str, phrase: str) -> str:
    """`text` without the wake phrase, or the end of it, at its beginning.

    >>> without_wake_word("Nabu, what is this?", "okay nabu"), without_wake_word("OK Nabu. Is it red?", "okay nabu")
    ('what is this?', 'Is it red?')
    """
    spoken = phrase.split()
    alternatives = "|".join(re.escape(word) for word in spoken) + ("|ok" if "okay" in spoken else "")
    return re.sub(rf"^(?:\W*\b(?:{alternatives})\b)+\W*", "", text, flags=re.IGNORECASE) if spoken else text


OVER_ANSWER_HINT = "Stop. Stop, please. Be quiet. Say that again. Is there a dog in the picture?"
"""What is said over an answer, for the transcriber: with questions alone for an example, it hears one in a "stop"."""

NOTHING_TO_REPEAT = "I have not said anything yet."
NO_ANSWER = "I can't tell."
NO_MICROPHONE = "I can't hear you: the microphone has stopped."
NO_CAMERA = "I can't see: the camera does not answer."
EYES_SHUT = "I can't see: the camera is shut."
WENT_WRONG = "Something went wrong with that question. Please ask again."
BATTERY_LOW = "The battery is low."
TOO_HOT = "I am getting hot, and look less ahead until I have cooled down."
