"""Question-answer pairs about a photograph, made by rules from what several people wrote about it.

Kinds: description, presence (is there a ...?), colour, count, activity. Presence is asked as often with yes as with no
for every object, so that the answer cannot be guessed from the object's name.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DESCRIBE = (
    "Describe the picture.",
    "What is in front of me?",
    "What do you see?",
    "What is in the picture?",
    "What is happening?",
    "What can you see in this picture?",
)
_PRESENCE = (
    "Is there {a} in the picture?",
    "Is there {a}?",
    "Can you see {a}?",
    "Do you see {a}?",
    "Is there {a} in this photo?",
)

# What a question can name -> the words by which people may have written about it (regular plurals are added).
_PEOPLE = (
    "people person man woman boy girl child kid lady guy men women children player baby toddler rider skier climber"
)
OBJECTS: dict[str, str] = {
    "person": _PEOPLE
    + " surfer biker skateboarder snowboarder adult teenager someone couple crowd team male female cyclist"
    " runner worker hiker swimmer jumper racer dancer wrestler performer athlete skater motorcyclist fan friend family",
    "dog": "dog puppy greyhound poodle terrier retriever shepherd dalmatian collie labrador",
    "man": "man men guy gentleman male",
    "woman": "woman women lady ladies female",
    "boy": "boy",
    "girl": "girl",
    "child": "child children kid boy girl toddler baby babies",
    "baby": "baby babies infant toddler",
    "ball": "ball football basketball soccer baseball volleyball",
    "bicycle": "bike bicycle biker cyclist bicyclist biking cycling",
    "motorcycle": "motorcycle motorbike motocross dirtbike",
    "car": "car vehicle automobile taxi truck van jeep suv",
    "boat": "boat canoe kayak raft sailboat ship",
    "horse": "horse pony",
    "bird": "bird duck seagull pigeon goose geese flamingo",
    "tree": "tree woods forest wooded palm",
    "snow": "snow snowy snowboarder snowboard skier ski skiing snowboarding snowball sled snowmobile",
    "beach": "beach sand sandy shore seashore",
    "pool": "pool",
    "grass": "grass grassy lawn",
    "mountain": "mountain hill cliff mountainside peak",
    "building": "building house store church skyscraper",
    "street": "street road sidewalk crosswalk",
    "fence": "fence railing",
    "bench": "bench",
    "hat": "hat cap beanie",
    "helmet": "helmet",
    "skateboard": "skateboard skateboarder skateboarding",
    "surfboard": "surfboard surfer surfing surf",
    "ramp": "ramp halfpipe",
    "toy": "toy frisbee",
    "frisbee": "frisbee",
    "table": "table",
    "chair": "chair",
    "rope": "rope",
    "swing": "swing",
    "slide": "slide",
    "umbrella": "umbrella",
    "guitar": "guitar",
    "camera": "photographer photograph photo photographing",
    "sign": "sign",
    "flower": "flower",
    "water": "water ocean pool lake river sea wave stream fountain pond puddle creek surf swimming swim surfer"
    " waterfall boat kayak canoe splash",
    "rock": "rock rocky boulder cliff stone",
    "bag": "bag backpack purse suitcase",
    "sunglasses": "sunglasses glasses goggles",
    "crowd": "crowd audience spectator",
}
_MASS_NOUNS = (
    "snow grass water sunglasses milk juice yoghurt cream garlic ginger asparagus bread soup hay broccoli armor yarn"
    " velvet powder dough guacamole"
)
_UNCOUNTED = frozenset(_MASS_NOUNS.split())
_LOOSE = {"camera"}  # the word also stands for the photographer's own; not asked about

_COLOURS = "black white red blue green yellow brown orange pink purple grey gray tan blond blonde golden silver"
_COLOURED = (
    "dog dogs shirt jacket dress hat car ball pants shorts hair coat suit cap helmet sweater uniform bike toy horse"
    " frisbee swimsuit shirts uniforms outfit t-shirt jersey boat bird motorcycle skirt top vest kayak truck collar"
    " fence umbrella"
)
_NUMBERS = "two three four five six"
_COUNTED = "dogs men women boys girls children people kids players ladies bikers surfers horses birds hikers cyclists"
_PLURALS = {"dog": "dogs", "man": "men", "woman": "women", "boy": "boys", "girl": "girls", "horse": "horses"}
_MANY_WORDS = (
    "two three four five six several many group crowd pair couple another other others both each together team family"
    " people children kids players dogs men women boys girls ladies horses friends puppies bikers cyclists"
)
_MANY = frozenset(_MANY_WORDS.split())
_ACTORS = (
    "man woman boy girl child dog person baby lady skier surfer snowboarder skateboarder player toddler kid rider"
    " climber"
)
_PAINT = _COLOURS.replace(" ", "|")
_COLOUR_OF = re.compile(rf"\b((?:{_PAINT})(?:(?: and |, | )(?:{_PAINT}))?) ({'|'.join(_COLOURED.split())})\b")
# Things that training also asks the colour of; the evaluation keeps to the list above.
_ALSO_COLOURED = (
    "sweatshirt hoodie jackets hats dresses vests jerseys helmets outfits clothes clothing costume jeans wetsuit"
    " bikini leotard snowsuit parka overalls apron robe cape tutu scarf bandanna headband mask gloves boots shoes"
    " sneakers goggles sunglasses beard backpack bag purse harness leash puppy poodle cat cow duck grass lawn field"
    " sky water snow sand flowers tulips building house wall door floor carpet bench chair couch blanket sheet mat pole"
    " rail railing sign slide swing tunnel tent tube ramp rope hoop ring disc balloon balls bucket cup stick cones"
    " flags ribbon parachute guitar skateboard board surfboard sled canoe raft bicycle bus jeep train wagon"
)
_ALSO_COLOUR_OF = re.compile(rf"\b({_PAINT}) ({'|'.join(_ALSO_COLOURED.split())})\b")
_COUNT_OF = re.compile(rf"\b({'|'.join(_NUMBERS.split())}) (?:\w+ )?({'|'.join(_COUNTED.split())})\b")
_DOING = re.compile(
    rf"^(?:a|an|the|one) (?:[\w-]+ ){{0,3}}?({'|'.join(_ACTORS.split())})"
    r"(?: in [\w ]{3,24}?| with [\w ]{3,20}?| wearing [\w ]{3,24}?)? (?:is |are )?"
    r"((?!wearing|looking|being|during|building|morning|evening|railing|king|ring|clothing)[a-z]{2,}ing\b.*)$"
)
_SPELLING = {"gray": "grey", "blonde": "blond"}


@dataclass(frozen=True, slots=True)
class Question:
    """One question with every answer that people gave; `kind` is description, presence, colour, count or activity."""

    kind: str
    text: str
    answers: tuple[str, ...]


def clean_caption(caption: str) -> str:
    """A caption as a spoken sentence: capital first letter, one full stop, no space before punctuation."""
    text = re.sub(r"\s+([.,!?;:'])", r"\1", " ".join(caption.split())).replace(' "', ' "').strip(" .")
    return f"{text[:1].upper()}{text[1:]}."


def words_of(captions: Sequence[str]) -> list[set[str]]:
    return [set(re.findall(r"[a-z][a-z-]*", caption.lower())) for caption in captions]


def _forms(words: str) -> frozenset[str]:
    return frozenset(form for word in words.split() for form in (word, f"{word}s", f"{word}es"))


_FORMS = {name: _forms(words) for name, words in OBJECTS.items() if name not in _LOOSE}


def objects_in(captions: Sequence[str]) -> tuple[set[str], set[str]]:
    """Objects that at least two people mention, and objects that anybody mentions."""
    words = words_of(captions)
    counts = Counter(name for said in words for name, forms in _FORMS.items() if said & forms)
    return {name for name, n in counts.items() if n >= 2}, set(counts)


def with_article(name: str) -> str:
    """The name of a thing as a question has it: "a dog", "an umbrella", "any snow", "any sunglasses"."""
    uncounted = name.split()[-1] in _UNCOUNTED or (name.endswith("s") and not name.endswith(("ss", "us", "is")))
    return f"{'any' if uncounted else 'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def presence_question(name: str, rng: random.Random) -> str:
    return rng.choice(_PRESENCE).format(a=with_article(name))


def _named_colours(captions: Sequence[str], colour_of: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Things and their colours, where at least half of those who name one name the same."""
    found: dict[str, Counter[str]] = {}
    for caption in captions:
        for colour, thing in colour_of.findall(caption.lower()):
            plain = " and ".join(_SPELLING.get(c, c) for c in re.split(r" and |, | ", colour))
            found.setdefault(thing, Counter())[plain] += 1
    for thing, votes in found.items():
        best, count = votes.most_common(1)[0]
        if count * 2 >= votes.total():
            yield thing, best


def _colours(captions: Sequence[str], colour_of: re.Pattern[str] = _COLOUR_OF) -> Iterator[Question]:
    for thing, colour in _named_colours(captions, colour_of):
        yield Question("colour", f"What color {_is(thing)} the {thing}?", (f"{colour.capitalize()}.",))


def _is(thing: str) -> str:
    return "are" if thing.endswith("s") and thing not in ("dress", "grass", "harness", "canvas") else "is"


def colour_checks(captions: Sequence[str], rng: random.Random) -> list[Question]:
    """For each coloured thing: is it of its colour (yes), is it of one that nobody names (no)."""
    said = set().union(*words_of(captions))
    others = sorted(set(_COLOURS.split()) - said - _SPELLING.keys())
    out = []
    for thing, colour in (*_named_colours(captions, _COLOUR_OF), *_named_colours(captions, _ALSO_COLOUR_OF)):
        for asked, answer in ((colour, "Yes."), (rng.choice(others), "No.")):
            out.append(Question("presence", f"{_is(thing).capitalize()} the {thing} {asked}?", (answer,)))
    return out


def _counts(captions: Sequence[str]) -> Iterator[Question]:
    found: dict[str, Counter[str]] = {}
    for caption in captions:
        for number, things in _COUNT_OF.findall(caption.lower()):
            found.setdefault(things, Counter())[number] += 1
    said = words_of(captions)
    for one, many in _PLURALS.items():
        # Nobody counts to one: there is one where several people speak of it and nobody of more, of whatever kind.
        if sum(one in words for words in said) * 2 > len(said) > 1 and not any(_MANY & words for words in said):
            found[many] = Counter(["one"])
    for things, votes in found.items():
        best, count = votes.most_common(1)[0]
        if count * 2 > votes.total():
            yield Question("count", f"How many {things} are there?", (f"{best.capitalize()}.",))


def _activities(captions: Sequence[str]) -> Iterator[Question]:
    found: dict[str, list[str]] = {}
    for caption in captions:
        match = _DOING.match(caption.lower().strip(" ."))
        if match:
            phrase = re.split(r" while | as | and | , |,|\.", match[2])[0].strip()
            if 2 <= len(phrase.split()) <= 9:
                found.setdefault(match[1], []).append(f"{phrase.capitalize()}.")
    for actor, answers in found.items():
        yield Question("activity", f"What is the {actor} doing?", tuple(dict.fromkeys(answers))[:2])


def short_questions(captions: Sequence[str]) -> list[Question]:
    """The colour, count and activity questions that the captions answer."""
    return [*_colours(captions), *_counts(captions), *_activities(captions)]


def taught_questions(captions: Sequence[str]) -> list[Question]:
    """The short questions, and the colours of more things than are asked in the evaluation."""
    return [*short_questions(captions), *_colours(captions, _ALSO_COLOUR_OF)]


def balanced_presence(photos: Sequence[Sequence[str]], per_object: int, rng: random.Random) -> list[list[Question]]:
    """Presence questions for each photo's captions: yes where at least two people mention the object, no where nobody
    does. Every object gets as many of one as of the other, at most `per_object`.
    """
    sure, any_mention = zip(*(objects_in(captions) for captions in photos), strict=True)
    out: list[list[Question]] = [[] for _ in photos]
    for name in _FORMS:
        yes = [i for i, names in enumerate(sure) if name in names]
        no = [i for i, names in enumerate(any_mention) if name not in names]
        count = min(len(yes), len(no), per_object)
        for answer, rows in (("Yes.", yes), ("No.", no)):
            for i in rng.sample(rows, count):
                out[i].append(Question("presence", presence_question(name, rng), (answer,)))
    for questions in out:
        rng.shuffle(questions)
    return out
