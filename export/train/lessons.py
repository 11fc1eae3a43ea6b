"""What a photograph teaches: its record of a data set turned into questions with answers to say, and not to say.

Kinds: description, presence, colour, count and activity come from captions; when, where and who from question-answer
pairs; label from the name of the thing; abstention from views on which nothing can be seen.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorgnette.export.train.statements import Statements
from lorgnette.llm.evaluation.caption_questions import (
    DESCRIBE,
    Question,
    balanced_presence,
    clean_caption,
    colour_checks,
    presence_question,
    taught_questions,
    with_article,
)
from lorgnette.llm.evaluation.cider import consensus
from lorgnette.llm.evaluation.dataset import Photo
from lorgnette.llm.evaluation.matching import answer_group

_WHAT = ("What is this?", "What am I holding?", "What is in front of me?", "What do you see?", "What object is this?")
_WHICH = ("What product is this?", "What kind of {} is this?", "Which {} is this?")
_IS_THIS = ("Is this {}?", "Is there {} here?", "Can you see {}?")
_WHERE_IS = re.compile(r"where(?:'s| is| are) (?:the|a|an) ((?:[a-z]+ )?[a-z]+)\?$", re.IGNORECASE)
_TURNS_KEPT = 4
_CONSENSUS_FLOOR = 0.3  # of the mean: even the oddest caption is true


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question. `answers` are right, each with its weight in the loss; `wrong` ones are trained to be less likely
    than the first right one. `scene_text` is the block of text lines that stands before the question ("": none)."""

    kind: str
    question: str
    answers: tuple[str, ...]
    weights: tuple[float, ...] = ()
    wrong: tuple[str, ...] = ()
    scene_text: str = ""


@dataclass(frozen=True, slots=True)
class Showing:
    """A photo is shown: its `place` among those of a course, and for the how-manieth time (`turn`, from 0)."""

    place: int
    turn: int


Teacher = Callable[[Showing, random.Random], list[Lesson]]
"""The lessons of what is shown, most important first."""


class CaptionTeacher:
    """Lessons from captions, of which a picture shows `captions` each time. Presence questions are drawn anew for every
    turn, at most `per_object` for each answer.

    Captions that say what the others say count for more (M. Phan et al., "Consensus-based Sequence Training for Video
    Captioning", 2017, "weighted cross-entropy"), and rare colours, counts and verbs for more than frequent ones.
    """

    def __init__(self, photos: Sequence[Photo], per_object: int, seed: int, *, captions: int = 5) -> None:
        self._shown = captions
        self._written = [photo.captions for photo in photos]
        self._captions = [tuple(map(clean_caption, texts)) for texts in self._written]
        self._weights = [_consensus_weights(scores) for scores in consensus(self._written)]
        self._short = [taught_questions(texts) for texts in self._written]
        self._counts = Counter(_group(q) for questions in self._short for q in questions)
        self._commonest = Counter[str]()
        for (kind, _), count in self._counts.items():
            self._commonest[kind] = max(count, self._commonest[kind])
        self._per_object, self._seed = per_object, seed
        self._turns: dict[int, list[list[Question]]] = {}

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        pairs = list(zip(self._captions[shown.place], self._weights[shown.place], strict=True))
        rng.shuffle(pairs)
        captions, weights = zip(*pairs[: self._shown], strict=True)
        # Captions tell few colours, counts and activities, so these come before what can be asked of every picture.
        short = [
            Lesson(q.kind, q.text, q.answers, (self._rarity(q),) * len(q.answers)) for q in self._short[shown.place]
        ]
        rng.shuffle(short)
        checks = colour_checks(self._written[shown.place], rng)
        others = [Lesson(q.kind, q.text, q.answers) for q in (*self._presence(shown.turn)[shown.place], *checks)]
        rng.shuffle(others)
        return [Lesson("description", rng.choice(DESCRIBE), captions, weights), *short, *others]

    def _presence(self, turn: int) -> list[list[Question]]:
        """The presence questions of a turn; a few stay, since courses that share a teacher are at their own turns."""
        if turn not in self._turns:
            while len(self._turns) >= _TURNS_KEPT:
                self._turns.pop(next(iter(self._turns)))
            drawn = random.Random(f"{self._seed} presence {turn}")
            self._turns[turn] = balanced_presence(self._written, self._per_object, drawn)
        return self._turns[turn]

    def _rarity(self, question: Question) -> float:
        """1 for the commonest answer of its kind, up to 3 for rarer ones: the root of how much rarer."""
        return float(min(3.0, (self._commonest[question.kind] / self._counts[_group(question)]) ** 0.5))


def _group(question: Question) -> tuple[str, str]:
    return question.kind, answer_group(question.answers[0], question.kind)


class QuestionTeacher:
    """Lessons from question-answer pairs with wrong answers, what the pairs say of colours, numbers and activities,
    and the things that their questions take for granted.

    "Where is the bookshelf?" says that there is one; the same is asked of pictures whose questions never name one.
    """

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = photos
        self._stated = [Statements(photo.qa) for photo in photos]
        self._things = [[m[1].lower() for qa in p.qa if (m := _WHERE_IS.match(qa.question))] for p in photos]
        self._all_things = [thing for things in self._things for thing in things]

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        place = shown.place
        lessons = [
            Lesson(qa.kind, qa.question, (_spoken(qa.answers[0]),), wrong=tuple(map(_spoken, qa.distractors)))
            for qa in self._photos[place].qa
        ]
        stated = [*self._stated[place].questions, *self._stated[place].colour_checks(rng)]
        lessons += [Lesson(q.kind, q.text, q.answers) for q in stated]
        rng.shuffle(lessons)
        text = " ".join(f"{qa.question} {qa.answers[0]}" for qa in self._photos[place].qa).lower()
        for thing in self._things[place]:
            lessons.append(Lesson("presence", presence_question(thing, rng), ("Yes.",)))
            other = rng.choice(self._all_things)
            if other.split()[-1] not in text:
                lessons.append(Lesson("presence", presence_question(other, rng), ("No.",)))
        return lessons


class LabelTeacher:
    """Lessons from names of things: what it is, in a word that everybody has for it; which one, when that is asked;
    and whether it is this or that."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = photos
        self._labels = sorted({photo.label for photo in photos})
        self._coarse = {photo.label: photo.coarse or photo.label for photo in photos}
        self._kinds = sorted(set(self._coarse.values()))

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        label = self._photos[shown.place].label
        kind = self._coarse[label]
        kinds = [name for name in rng.sample(self._kinds, min(5, len(self._kinds))) if name != kind][:3]
        others = [name for name in rng.sample(self._labels, min(5, len(self._labels))) if name != label][:3]
        called, which = [named(_lower(name)) for name in (kind, *kinds)], [f"{name}." for name in (label, *others)]
        lessons = [Lesson("label", rng.choice(_WHAT), (called[0],), wrong=tuple(called[1:]))]
        if label != kind:
            question = rng.choice(_WHICH).format(_lower(kind))
            lessons.append(Lesson("label", question, (which[0],), wrong=tuple(which[1:])))
        other = rng.choice([name for name in self._kinds if name != kind])
        for name, answer in ((kind, "Yes."), (other, "No.")):
            question = rng.choice(_IS_THIS).format(with_article(_lower(name)))
            lessons.append(Lesson("presence", question, (answer,)))
        return lessons


class AbstentionTeacher:
    """Whatever is asked about pictures on which nothing can be seen: `reasons` says why, picture by picture."""

    def __init__(self, ask: Teacher, reasons: Sequence[str]) -> None:
        self._ask = ask
        self._reasons = reasons

    def __call__(self, shown: Showing, rng: random.Random) -> list[Lesson]:
        answer = f"I can't tell, {self._reasons[shown.place]}."
        lessons = self._ask(shown, rng)
        return [Lesson("abstention", one.question, (answer,)) for one in rng.sample(lessons, min(4, len(lessons)))]


def _consensus_weights(scores: Sequence[float]) -> tuple[float, ...]:
    """Weights with mean 1 from the agreement of each caption with the others."""
    floor = _CONSENSUS_FLOOR * sum(scores) / len(scores) + 1e-6
    floored = [score + floor for score in scores]
    return tuple(len(floored) * score / sum(floored) for score in floored)


def _spoken(answer: str) -> str:
    answer = " ".join(answer.split()).strip(" .")
    return f"{answer[:1].upper()}{answer[1:]}."


def named(name: str) -> str:
    """What is said of a thing that is asked for: "A dog.", "Sunglasses."."""
    called = with_article(name).removeprefix("any ")
    return f"{called[:1].upper()}{called[1:]}."


def _lower(name: str) -> str:
    return name.lower() if name.istitle() else name
