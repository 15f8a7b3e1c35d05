"""Captions as vectors: a sentence encoder whose weights come with its package, and the words that a model has learnt.

A sentence is the mean of the 256-dimensional vectors of its word pieces (WordLlama: token embeddings of large language models, distilled
and cut to 256 numbers; package ``wordllama``, extra ``text``, nothing is downloaded). Words that mean the same lie close together, so that
a model trained on "a small couch" understands something of "a little sofa". Data sets store the vectors of their captions, so that training
needs no encoder; a request is encoded when shapes are sampled.

A word that no caption holds tells the model nothing. Requests with such words are refused with the nearest words of the captions, measured
by the same vectors. Other endings are put as the captions have them (order tells nothing: "three-legged" is "three with legs", "armless"
"without arms"), digits in words; stop words that no caption has are left out. Captions deny parts alone ("without arms"), so that other
denials ("not a chair", "not tall") are refused: their vectors would be those of what is denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np

from molgen.errors import InputError

WIDTH = 256
STOP_WORDS = frozenset(
    "a an and any are as at be but by for from has have having in is it its no not of on one only or shape shaped please some that the "
    "there this to very quite rather which with without whose small large big little made me show generate draw new i want need give would "
    "like featuring".split()
)
_LACKS = re.compile(r"\b(?:do(?:es)?(?: not|n['\u2019]?t) have|lack(?:s|ing)?|w/o)\b(?: any\b)?", re.IGNORECASE)
"""What says "without" in other words."""
_NOT = ("no", "not")
_DENIALS = (*_NOT, "without")
_SIZES = ("small", "large", "big", "little")
_BOUNDS = STOP_WORDS - {*_SIZES} | {","}  # where what is denied ends
_PASSED = STOP_WORDS - {*_SIZES, *_DENIALS, "and"} | {"single"}  # between a denial and what is denied
_OPPOSITES = dict(
    pair.split("/")
    for pair in "tall/low high/low low/tall short/tall flat/tall round/square circular/square square/round rectangular/round oblong/round "
    "wide/narrow broad/narrow narrow/wide slender/stout slim/stout thin/thick thick/thin stout/slender squat/slender long/short "
    "deep/shallow shallow/deep straight/tapered tapered/straight".split()
)
_OTHERS = "central conical double fluted heavy lower upper mid open closed oval plain rear rowing sailing solid splayed swept twisted"
_ADJECTIVES = frozenset([*_OPPOSITES, *_SIZES, *_OTHERS.split()])
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
SYNONYMS = {
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
"""Other names of classes."""
PARTS = {"bed": "truck", "shelf": "table"}
"""Classes whose name is also that of a part -> of which class."""
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ENDINGS = ("ings", "ing", "ers", "er", "ies", "es", "ed", "s", "y", "e")


@dataclass(frozen=True)
class TextStatistics:
    """Moments (256,) of the vectors of the captions, and every word that they hold."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Sequence[str], vectors: np.ndarray) -> TextStatistics:
        """Statistics of captions and their vectors (S, 256); empty captions do not count."""
        known = vectors[[bool(caption) for caption in captions]].astype(np.float64)
        mean, std = (np.round(moment, 5).tolist() for moment in (known.mean(0), known.std(0)))
        return cls(tuple(mean), tuple(std), tuple(sorted({word for caption in captions for word in split_words(caption)})))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> TextStatistics:
        """Reads a part of ``statistics.json``."""
        return cls(tuple(raw["mean"]), tuple(raw["std"]), tuple(raw["words"]))

    def encode(self, text: str, classes: Sequence[str] = ()) -> list[float]:
        """The vector of a request.

        Args:
            text: the request.
            classes: of the training data, which cannot be denied.

        Raises:
            InputError: the encoder is not installed, the text has no words that say anything or words that are in no caption, denies
                other things than parts, or both asks for a part and denies it.
        """
        if foreign := [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]:
            raise InputError(f"text: words have to be English, got {', '.join(map(repr, foreign))}")
        text = _LACKS.sub("without", text)
        spoken = split_words(text)
        if not set(spoken) - STOP_WORDS:
            got = f"{text!r}, which names nothing" if spoken else "no words"
            raise InputError(f"text: expected a description such as 'a low table with four legs', got {got}")
        self._check_denials(text, classes)
        forms: dict[str, list[str]] = {}
        for known in self.words:
            forms.setdefault(_stem(known), []).append(known)
        said = {word: self._said(word, forms) for word in spoken}
        strange = [word for word, meant in said.items() if meant is None]
        if strange:
            near = "; ".join(f"{word!r} (nearest: {', '.join(self.nearest(word))})" for word in strange)
            raise InputError(f"text: no caption of the training data has {near}")
        return embed([" ".join(filter(None, map(said.get, spoken))) or text])[0].tolist()

    def _said(self, word: str, forms: Mapping[str, list[str]]) -> str | None:
        """A word as captions say it, whose words have these forms by stem; "" for a stop word of none, None for any other of none."""
        if word in self.words:
            return word
        if word in STOP_WORDS:
            denial = "without" if "without" in self.words else word
            return denial if word in _NOT else ""
        if word.endswith("less") and "without" in self.words and (found := forms.get(_stem(word.removesuffix("less")))):
            return f"without {_likest(word, found)}"
        found = [form for stem in _stems(word) for form in forms.get(stem, ())]
        if not found:
            meant = next((meant for alias, meant in ALIASES.items() if _stem(alias) in _stems(word)), "")
            return meant if meant and set(meant.split()) <= set(self.words) else None
        form = _likest(word, found)
        return f"with {form}" if word.endswith("ed") and form.endswith("s") and "with" in self.words else form

    def _check_denials(self, text: str, classes: Sequence[str]) -> None:
        """Refuses to deny other things than parts, unless captions do so, and to deny a part that is asked for."""
        denials, rest = split_denials(text)
        asked = {_stem(word) for word in rest if word not in STOP_WORDS}
        parts = "captions deny parts alone, as in 'without arms'"
        for denial, words in denials:
            said = " ".join([denial, *words])
            if denial in _NOT and denial in self.words:
                continue
            if not words:
                raise InputError(f"text: {denial!r} stands before no part; {parts}")
            if _describes(words[0]):
                other = _OPPOSITES.get(words[0], "")
                example = f", such as {other!r}" if other in self.words else ""
                raise InputError(f"text: {said!r} cannot be asked for, as {parts}; say what is wanted instead{example}")
            name = class_meant(words[-1], classes)
            if denial != "not" and PARTS.get(name) in {class_meant(word, classes) for word in rest if word not in STOP_WORDS}:
                name = ""
            if name and (denial == "not" or _stem(words[-1]) in {_stem(known.lower()) for known in classes}):
                raise InputError(f"text: {said!r} cannot be asked for, as {parts}, and {name} is a class; name the class that is wanted")
            if _stem(words[-1]) in asked:
                raise InputError(f"text: {words[-1]!r} is both asked for and denied; leave one of them away")

    def nearest(self, word: str, count: int = 4) -> list[str]:
        """The words of the captions that mean most nearly the same."""
        content = [known for known in self.words if known not in STOP_WORDS]
        vectors = embed([word, *content])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return [content[k] for k in np.argsort(-(vectors[1:] @ vectors[0]))[:count]]


def names_another(text: str, category: str, categories: Iterable[str]) -> str:
    """The class that a description names in the place of the one asked for, "" if none: in "a truck with a bed" a bed is no other class."""
    named = re.split(r"\b(?:with|without|that|which|whose|has|having)\b", text.lower(), maxsplit=1)[0]
    spoken = {_stem(word) for word in split_words(named)}
    found = [name for name in categories if spoken >= (words := {_stem(word) for word in split_words(name)}) and words]
    same = [name for name in found if name.casefold() == category.casefold()]
    return "" if same or not found else found[0]


def class_meant(name: str, classes: Iterable[str]) -> str:
    """The class that a name in another number or a synonym stands for, "" if there is none."""
    spoken = [stem for word in split_words(name)[-1:] for stem in _stems(word)]
    for known in classes:
        names = [known.lower(), *SYNONYMS.get(known.lower(), "").split()]
        if name.casefold() == known.casefold() or any(_stem(each) in spoken for each in names if each.isalpha()):
            return known
    return ""


def split_denials(text: str) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """What a text denies, each with the word that does and adjectives and noun after it, and all words that it does not deny.

    In "a chair without arms or a round back that is not tall" these are arms, round back and tall. A number ends what is denied ("without
    arms and four legs").
    """
    words = split_words(text, marks=True)
    denials: list[tuple[str, list[str]]] = []
    rest: list[str] = []
    k = 0
    while k < len(words):
        word = words[k]
        k += 1
        if word not in _DENIALS:
            less = word.removesuffix("less")
            if less != word and len(less) >= 3:
                denials.append(("without", [less]))
            elif word != ",":
                rest.append(word)
            continue
        while True:
            while k < len(words) and words[k] in _PASSED:
                k += 1
            denied: list[str] = []
            while k < len(words) and words[k] not in _BOUNDS and (not denied or _describes(denied[-1])):
                denied.append(words[k])
                k += 1
            denials.append((word, denied))
            following = [other for other in words[k + 1 : k + 4] if other not in ("a", "an", "any", "the")]
            if not denied or not following or not _goes_on(words[k], following[0]):
                break
            k += 1
    return denials, rest


def _goes_on(joint: str, word: str) -> bool:
    """Whether a denial also holds for this word after "or", "and" or a comma."""
    if word in _BOUNDS or word.endswith("less"):
        return False
    return joint in ("or", "nor") or (joint in ("and", ",") and not _describes(word))


def _describes(word: str) -> bool:
    """Whether a word says what a thing is like or how many there are; else it names one."""
    return word in _ADJECTIVES or word in _NUMBERS or word.isdigit() or (len(word) > 4 and word.endswith(("ed", "ical", "ular")))


def _stems(word: str) -> list[str]:
    """The stems that a word may have: "shelves" may be more than one "shelve" or "shelf"."""
    return [_stem(word), *(_stem(word.removesuffix("ves") + end) for end in ("f", "fe") if word.endswith("ves"))]


def split_words(text: str, marks: bool = False) -> list[str]:
    """The words of a text in small letters; digits up to ten in words; with ``marks`` a comma for every mark that ends a clause."""
    words = re.findall(r"[a-z]+|\d+|," if marks else r"[a-z]+|\d+", re.sub("[.;:()]", ",", text.lower()))
    return [_NUMBERS[int(word)] if word.isdigit() and int(word) < len(_NUMBERS) else word for word in words]


def _stem(word: str) -> str:
    """A word without its ending."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def _likest(word: str, forms: Sequence[str]) -> str:
    """The form that is spelt most like a word; of "legged" and "legless" the plural."""
    plural = [form for form in forms if form.endswith("s")] if word.endswith(("ed", "less")) else []
    return get_close_matches(word.removesuffix("less"), plural or forms, n=1, cutoff=0)[0]


def embed(texts: Iterable[str]) -> np.ndarray:
    """Vectors (n, 256) of texts; empty texts become NaN.

    Raises:
        InputError: the encoder is not installed.
    """
    texts = list(texts)
    vectors = np.full((len(texts), WIDTH), np.nan, np.float32)
    filled = [k for k, text in enumerate(texts) if text]
    if filled:
        vectors[filled] = _encoder().embed([" ".join(split_words(texts[k])) for k in filled])
    return vectors


@cache
def _encoder() -> Any:
    import logging
    from importlib.util import find_spec
    from pathlib import Path

    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise InputError("text needs the sentence encoder, the extra 'text'; in the checkout: pip install -c constraints.txt -e '.[text]'")
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    from wordllama import WordLlama

    root.level, root.handlers = before[0], before[1]  # the package sets up logging of the whole program when it is imported
    return WordLlama.load(
        cache_dir=Path(found.origin).parent, disable_download=True
    )  # its tokenizer lies there, and nothing else is looked for
