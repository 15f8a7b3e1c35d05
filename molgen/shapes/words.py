"""English words of captions and requests: stems, other names of classes, and what a text denies.

A clause that denies is a word such as "without" with adjectives and the noun that they describe; it holds for what follows after "or", and
after "and" or a comma where a noun follows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice

STOP_WORDS = frozenset(
    "a an and any are as at be but by for from has have having in is it its no not of on one only or shape shaped please some that the "
    "there this to very quite rather which with without whose small large big little made me show generate draw new i want need give would "
    "like featuring".split()
)
LACKS = re.compile(r"\b(?:do(?:es)?(?: not|n['\u2019]?t) have|lack(?:s|ing)?|w/o)\b(?: any\b)?", re.IGNORECASE)
"""What says "without" in other words."""
NOT = ("no", "not")
DENIALS = (*NOT, "without")
_SIZES = ("small", "large", "big", "little")
_BOUNDS = STOP_WORDS - {*_SIZES} | {","}  # where what is denied ends
_PASSED = STOP_WORDS - {*_SIZES, *DENIALS, "and"} | {"single"}  # between a denial and what is denied
OPPOSITES = dict(
    pair.split("/")
    for pair in "tall/low high/low low/tall short/tall flat/tall round/square circular/square square/round rectangular/round oblong/round "
    "wide/narrow broad/narrow narrow/wide slender/stout slim/stout thin/thick thick/thin stout/slender squat/slender long/short "
    "deep/shallow shallow/deep straight/tapered tapered/straight".split()
)
_OTHERS = "central conical double fluted heavy lower upper mid open closed oval plain rear rowing sailing solid splayed swept twisted"
_ADJECTIVES = frozenset([*OPPOSITES, *_SIZES, *_OTHERS.split()])
ALIASES = {
    "aeroplane": "plane",
    "aircraft": "plane",
    "airplane": "plane",
    "armrest": "arms",
    "automobile": "car",
    "barstool": "tall stool",
    "bookshelf": "bookcase",
    "footstool": "low stool",
    "rowboat": "rowing boat",
    "sailboat": "sailing boat",
    "spacecraft": "spaceship",
    "twin": "two",
    "wineglass": "wine glass",
}
"""What captions say instead, of words that they may lack."""
CLASS_NAMES = {
    "boat": "rowboat sailboat ship",
    "bottle": "flask",
    "bowl": "dish",
    "car": "automobile",
    "chair": "armchair",
    "goblet": "chalice wineglass",
    "jug": "pitcher",
    "mug": "cup teacup",
    "plane": "aeroplane aircraft airliner airplane",
    "rocket": "spacecraft spaceship",
    "shelf": "bookcase bookshelf rack",
    "sofa": "couch settee",
    "stool": "barstool footstool",
    "table": "desk",
    "truck": "lorry",
}
"""Other names of classes in requests."""
PARTS = {"bed": "truck", "shelf": "table"}
"""Classes whose name is also that of a part -> of which class."""
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ENDINGS = ("ings", "ing", "ers", "er", "ies", "es", "ed", "s", "y", "e")


def names_another(text: str, category: str, categories: Iterable[str]) -> str:
    """The class that a description names in the place of the one asked for, "" if none: in "a truck with a bed" a bed is no other class."""
    named = re.split(r"\b(?:with|without|that|which|whose|has|having)\b", text.lower(), maxsplit=1)[0]
    spoken = {stem(word) for word in split_words(named)}
    found = [name for name in categories if spoken >= (words := {stem(word) for word in split_words(name)}) and words]
    same = [name for name in found if name.casefold() == category.casefold()]
    return "" if same or not found else found[0]


def class_meant(name: str, classes: Iterable[str]) -> str:
    """The class that a name in another number or a synonym stands for, "" if there is none."""
    spoken = [form for word in split_words(name)[-1:] for form in stems(word)]
    for known in classes:
        names = [known.lower(), *CLASS_NAMES.get(known.lower(), "").split()]
        if name.casefold() == known.casefold() or any(stem(each) in spoken for each in names if each.isalpha()):
            return known
    return ""


def split_denials(text: str) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The clauses of a text that deny, each the word that does with adjectives and noun, and all words that it does not deny.

    In "a chair without arms or a round back that is not tall" these are arms, round back and tall. A number ends what is denied ("without
    arms and four legs").
    """
    words = deque(split_words(text, marks=True))
    denials: list[tuple[str, list[str]]] = []
    rest: list[str] = []
    while words:
        word = words.popleft()
        less = word.removesuffix("less")
        if word in DENIALS:
            denials += [(word, what) for what in _denied(words)]
        elif less != word and len(less) >= 3:
            denials.append(("without", [less]))
        elif word != ",":
            rest.append(word)
    return denials, rest


def _denied(words: deque[str]) -> Iterator[list[str]]:
    """Takes from the words behind a denial what it denies, each time adjectives and a noun."""
    goes_on = True
    while goes_on:
        while words and words[0] in _PASSED:
            words.popleft()
        what: list[str] = []
        while words and words[0] not in _BOUNDS and (not what or describes(what[-1])):
            what.append(words.popleft())
        yield what
        following = [word for word in islice(words, 1, 4) if word not in ("a", "an", "any", "the")]
        goes_on = bool(what and following) and _goes_on(words[0], following[0])
        if goes_on:
            words.popleft()


def _goes_on(joint: str, word: str) -> bool:
    """Whether a denial also holds for this word after "or", "and" or a comma."""
    if word in _BOUNDS or word.endswith("less"):
        return False
    return joint in ("or", "nor") or (joint in ("and", ",") and not describes(word))


def describes(word: str) -> bool:
    """Whether a word says what a thing is like or how many there are; else it names one."""
    return word in _ADJECTIVES or word in NUMBERS or word.isdigit() or (len(word) > 4 and word.endswith(("ed", "ical", "ular")))


def stems(word: str) -> list[str]:
    """The stems that a word may have: "shelves" may be more than one "shelve" or "shelf"."""
    return [stem(word), *(stem(word.removesuffix("ves") + end) for end in ("f", "fe") if word.endswith("ves"))]


def split_words(text: str, marks: bool = False) -> list[str]:
    """The words of a text in small letters; digits up to ten in words; with ``marks`` a comma for every mark that ends a clause."""
    words = re.findall(r"[a-z]+|\d+|," if marks else r"[a-z]+|\d+", re.sub("[.;:()]", ",", text.lower()))
    return [NUMBERS[int(word)] if word.isdigit() and int(word) < len(NUMBERS) else word for word in words]


def stem(word: str) -> str:
    """A word without its ending."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def likest(word: str, forms: Sequence[str]) -> str:
    """The form that is spelt most like a word; of "legged" and "legless" the plural."""
    plural = [form for form in forms if form.endswith("s")] if word.endswith(("ed", "less")) else []
    return get_close_matches(word.removesuffix("less"), plural or forms, n=1, cutoff=0)[0]
