"""Whether a short answer says what people said: exactly, or somewhere in it, by its kind of question.

Words are compared after spelling, plural, verb ending and a few dozen synonyms are evened out; nothing here is learned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lorgnette.vision.quality import ADVICE

_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z]+)*")
_ARTICLES = {"a", "an", "the"}
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
)
NUMBERS: dict[str, str] = {word: str(value) for value, word in enumerate(_NUMBERS.split())}
NUMBERS |= {"none": "0", "single": "1", "couple": "2", "pair": "2", "both": "2", "dozen": "12"}
_COLOURS = "black white red blue green yellow brown orange pink purple grey tan blond gold silver maroon turquoise"
COLOURS = frozenset(_COLOURS.split())
_SPELLING = {"gray": "grey", "blonde": "blond", "golden": "gold", "violet": "purple", "beige": "tan", "khaki": "tan"}

# The first word of each line stands for the others.
_SYNONYMS = """
person people human somebody someone
man men guy guys gentleman male
woman women lady ladies female
child children kid kids toddler
baby babies infant
dog puppy puppies
cat kitten kittens
bicycle bike bikes
motorcycle motorbike motorbikes
car cars automobile auto
plane airplane aeroplane aircraft
couch sofa
television tv telly
phone telephone cellphone smartphone mobile
refrigerator fridge
cup mug
shoe sneaker trainer
hat cap
street road
sidewalk pavement
garbage trash rubbish
nobody no-one none
outdoors outside outdoor
indoors inside indoor
day daytime daylight
night nighttime
run jog sprint ran
jump leap hop
talk speak chat
sit seat sat
stand stood
ride rode
throw toss
photograph photo picture image
foot feet
tooth teeth
mouse mice
goose geese
"""
_UNIMPORTANT = (
    "a an the of in on at to is are was were be been being it its it's this that these those there and or with by for"
    " from as his her their your my our he she they i you we some any sort kind type do does did has have very can see"
    " looks like"
)
_STOP_WORDS = frozenset(_UNIMPORTANT.split())
_PLAIN_NO = re.compile(
    r"(there (is|are) (no|not|n't)\b|there (isn't|aren't)\b|i (can't|cannot|can not|don't|do not) see)"
)
_PLAIN_YES = re.compile(r"(there (is|are)|i (can )?see)\b")
_ABSTAINS = re.compile(
    r"\b(i (can't|cannot|can not|couldn't|could not) (really |quite )?(tell|say|see|make|read|answer|identify)"
    r"|(i'm|i am) (not sure|unable|unsure)|i (don't|do not) (know|see)|(hard|difficult|impossible) to (tell|say|see)"
    r"|(it's|it is|that's) (not clear|unclear|unknown)|not (visible|enough)|no idea|unable to)"
)
_ADVICE = re.compile(
    r"\b((too|very|so) dark|(more|turn|switch)\b.{0,20}\blight|blurred|blurry|out of focus"
    r"|(hold|keep) (it |the \w+ |me )?(still|steady)|covers? the (camera|lens)|(check|clean|wipe) the lens"
    r"|nothing to see|see nothing|(picture|image|view|camera|lens) is (dark|black|blank|empty|covered|blocked))"
)
_OUR_ADVICE = re.compile("|".join(re.escape(advice.lower()) for advice in ADVICE.values()))
_DOUBLED = re.compile(r"([bdfglmnprt])\1$")
_VOWEL = re.compile(r"[aeiouy]")


def words_in(text: str) -> list[str]:
    """Words in lower case with one spelling of colours and numbers ("gray" is "grey", "two" is "2")."""
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [NUMBERS.get(word, _SPELLING.get(word, word)) for word in _WORD.findall(plain)]


def stem(word: str) -> str:
    """A word without the ending of a plural or a verb; rough, and the same for both sides of a comparison."""
    if len(word) > 5 and word.endswith("ing") and _VOWEL.search(word[:-3]):
        word = word[:-3]
    elif len(word) > 4 and word.endswith("ed") and not word.endswith("eed") and _VOWEL.search(word[:-2]):
        word = word[:-2]
    elif len(word) > 4 and word.endswith("ies"):
        word = f"{word[:-3]}y"
    elif len(word) > 4 and re.search(r"(s|x|z|ch|sh)es$", word):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    word = _DOUBLED.sub(r"\1", word)
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


_SAME = {stem(word): stem(line.split()[0]) for line in _SYNONYMS.strip().splitlines() for word in line.split()}


def canonical(words: Iterable[str]) -> list[str]:
    """Stems, with one of each group of synonyms."""
    return [_SAME.get(stem(word), stem(word)) for word in words]


def exact(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer is one of the references, articles, punctuation and spelling aside (as VQA compares: S. Antol
    and others, 2015)."""
    said = _bare(answer)
    return any(said == _bare(reference) for reference in references)


def contained(answer: str, references: Sequence[str], kind: str = "") -> bool:
    """Whether the answer holds what counts in one of the references: for a "colour" its colours, for a "count" its
    number, for an "activity" its verb, for "yes_no" the same decision, else all its content words.

    An answer that names two more colours or numbers than were asked for is a list, not an answer.
    """
    return any(_contains(answer, reference, kind) for reference in references)


def head_verb(text: str) -> str:
    """The stem of the first word in -ing ("Jumping into a pool." is "jump"); "" without one."""
    verb = next((word for word in words_in(text) if len(word) > 5 and word.endswith("ing")), "")
    return canonical([verb])[0] if verb else ""


def yes_or_no(answer: str) -> str:
    """ "yes", "no" or "" by the answer's first word, or by what it says there is."""
    words = words_in(answer)
    if _OUR_ADVICE.match(answer.lower()):
        return ""
    if words and words[0] in ("yes", "no", "yeah", "nope"):
        return "yes" if words[0].startswith("y") else "no"
    plain = " ".join(answer.lower().split())
    return "no" if _PLAIN_NO.match(plain) else "yes" if _PLAIN_YES.match(plain) else ""


def abstains(answer: str) -> bool:
    """Whether the answer is "I can't tell" in one of its forms, advice of ours for a bad frame, or nothing."""
    plain = " ".join(answer.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    return not plain or _OUR_ADVICE.search(plain) is not None or _ABSTAINS.search(plain) is not None


def advises(answer: str) -> bool:
    """Whether the answer says that the picture cannot be used, instead of what is in it."""
    return abstains(answer) or _ADVICE.search(answer.lower()) is not None


def answer_group(reference: str, kind: str) -> str:
    """What makes two reference answers the same for balancing: colours, number, verb, or the bare words."""
    words = words_in(reference)
    if kind == "colour":
        return " and ".join(sorted(COLOURS.intersection(words))) or _bare(reference)
    if kind == "activity":
        return head_verb(reference) or _bare(reference)
    return _bare(reference)


def _bare(text: str) -> str:
    return " ".join(word for word in words_in(text) if word not in _ARTICLES)


def _contains(answer: str, reference: str, kind: str) -> bool:
    if abstains(reference):
        return abstains(answer)
    if kind in ("yes_no", "presence"):
        return yes_or_no(answer) != "" and yes_or_no(answer) == yes_or_no(reference)
    said, wanted = words_in(answer), words_in(reference)
    if kind == "colour" and COLOURS.intersection(wanted):
        return _names(COLOURS.intersection(said), COLOURS.intersection(wanted))
    if kind == "count" and any(word.isdigit() for word in wanted):
        return _names({word for word in said if word.isdigit()}, {word for word in wanted if word.isdigit()})
    if kind == "activity" and head_verb(reference):
        return head_verb(reference) in canonical(said)
    content = {word for word in canonical(w for w in wanted if w not in _STOP_WORDS)}
    return content <= set(canonical(said)) if content else f" {_bare(reference)} " in f" {_bare(answer)} "


def _names(said: set[str] | frozenset[str], wanted: set[str] | frozenset[str]) -> bool:
    return wanted <= said and len(said) <= len(wanted) + 1
