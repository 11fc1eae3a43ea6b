"""What a wearer asks, with and without a pause in it, and where the pause and the end are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from voices import Samples, SpeechFolder, Voice, power, room_noise, spaced, varied, word_end

from lorgnette.device.sound_file import SPEECH_RATE_HZ

# What comes before | is not yet a question.
BROKEN = """\
What is the colour of | the car on the left?
Is there a | dog in front of me?
Can you tell me | what the sign says?
How many people are | standing at the bus stop?
Where did I | put my keys?
What does it say on | the top of the page?
I would like to know | how much this costs.
Is the traffic light | green or red?
Who is the woman | in the blue coat?
Could you read | the second line for me?
What kind of | flower is this?
Which of these | bottles is the milk?
Is it safe to | cross the road now?
Tell me when | the bus arrives.
Does this shirt go | with those trousers?
What is the name of | that building over there?
When I turn around | what is behind me?
On the table in front of me | is there a cup?
The man next to the door | what is he holding?
Do you think that | it is going to rain?
How far is it to | the next corner?
What time does | the clock on the wall show?
Is anybody sitting | on the bench by the fountain?
Remind me to | buy bread when I see the bakery.
Look at the | shelf on the right and find the rice.
I am looking for | a red bag with a long strap.
Has the person who | was waving gone away?
Is the door of the | house across the street open?
Why is there a | crowd in front of the station?
If I go straight on | will I come to the park?""".splitlines()

WHOLE = """\
What is in front of me?
Is there a cat on the sofa?
How many chairs do you see?
What does the label say?
Read this page to me.
What colour is my jacket?
Where is the exit?
Is anyone there?
Describe the room.
What am I holding?
Is the light on?
Who is at the door?
What is the man doing?
Stop.
Tell me more about the building on the right.
Which bus is this?
Is this the right platform for the train to the airport?
How much does it cost?
Can you see my glasses?
What is the weather like?""".splitlines()

TAIL_S = 2.6
"""Noise after the last word."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """`sound` is 16 kHz with a tail of noise; `end_s` is where the last word ends; `pauses` are spans; seconds."""

    text: str
    style: str
    voice: str
    sound: Samples
    pauses: tuple[tuple[float, float], ...]
    end_s: float


def broken_anywhere(questions: list[str], seed: int) -> list[str]:
    """`questions`, each with a | after its first word or a later one."""
    rng = random.Random(seed)
    cut = []
    for question in questions:
        words = question.split()
        at = rng.randrange(1, len(words))
        cut.append(f"{' '.join(words[:at])} | {' '.join(words[at:])}")
    return cut


def make_utterances(
    count: int, speech: SpeechFolder, voices: tuple[Voice, ...], seed: int, questions: list[str] = BROKEN
) -> Iterator[Utterance]:
    """A quarter have no pause. The others, `questions` with a |, stop after "um", trailing off, or in the middle of the
    phrase, by turns."""
    rng = random.Random(seed)
    noise = np.random.default_rng(seed)
    for number in range(count):
        voice = varied(rng, voices)
        if number % 4 == 3:
            said, style = WHOLE[number // 4 % len(WHOLE)], "whole"
            pieces = [speech.say(said, voice)]
        else:
            style = ("um", "trailing off", "mid-phrase")[number % 4]
            said = questions[(number // 4 * 3 + number % 4) % len(questions)]
            pieces = list(broken(said, style, speech, voice))
        gap_s = rng.uniform(0.3, 1.5)
        sound, pauses = spaced(pieces[0], 0.5, 0), []
        if len(pieces) > 1:
            start_s = len(sound) / SPEECH_RATE_HZ
            pauses.append((start_s, start_s + gap_s))
            sound = np.concatenate([spaced(sound, 0, gap_s), pieces[1]])
        end_s = len(sound) / SPEECH_RATE_HZ
        sound = spaced(sound, 0, TAIL_S)
        size = np.sqrt(power(np.concatenate(pieces))) * 10 ** (-rng.uniform(20, 40) / 20)
        sound = sound + room_noise(len(sound), noise) * np.float32(size)
        yield Utterance(said, style, voice.label, sound.astype(np.float32), tuple(pauses), end_s)


def broken(said: str, style: str, speech: SpeechFolder, voice: Voice) -> Iterator[Samples]:
    """`said` in the two pieces that a | parts."""
    first, last = said.split(" | ")
    if style == "mid-phrase":
        full = speech.say(f"{first} {last}", voice)
        cut = word_end(full, speech.say(first, voice))
        fade = np.linspace(1, 0, 160, dtype=np.float32)
        yield np.concatenate([full[: cut - 160], full[cut - 160 : cut] * fade])
        yield full[cut:]
    else:
        yield speech.say(f"{first}, um," if style == "um" else f"{first}...", voice)
        yield speech.say(last, voice)
