"""Answers of a Japanese quiz as texts: normalised, extracted, and compared."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

EXACT_MATCH, EXACT_MATCH_RAW = "exact_match", "exact_match_raw"

_PAIRS = {"「": "」", "『": "』", '"': '"', "'": "'", "(": ")"}
"""Opening mark -> closing mark; NFKC has made full-width brackets half-width."""

_FULL_STOP = "。"

_ANSWER_ENDS = re.compile(r"です|。|\[SEP\]|\n")


def normalise_answer(text: str) -> str:
    """Returns the form in which two spellings of an answer are the same.

    In this order: Unicode NFKC, so that full-width letters and half-width katakana are
    as usual; case folded; all whitespace removed; a final 。 and the marks 「」 『』 ""
    '' () around the whole answer removed, for as long as there are any.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(text.split())
    while True:
        shorter = text.removesuffix(_FULL_STOP)
        if len(shorter) > 1 and _PAIRS.get(shorter[0]) == shorter[-1]:
            shorter = shorter[1:-1]
        if shorter == text:
            return text
        text = shorter


def extract_answer(text: str) -> str:
    """Cuts the answer out of what a model says after "この答えは".

    Args:
        text: As decoded.

    Returns:
        What stands before the first です, 。, [SEP] or line break, without space
        around it; all of it where there is none.
    """
    return _ANSWER_ENDS.split(text, maxsplit=1)[0].strip()


def exact_match(
    targets: Sequence[Sequence[str]], predictions: Sequence[str]
) -> Mapping[str, float]:
    """Returns how many predictions are an answer, 0 to 100.

    Args:
        targets: Of each question, all answers that count as right.
        predictions: Of each question, the predicted text.

    Returns:
        "exact_match", where both are normalised; and "exact_match_raw", where every
        character counts.
    """
    pairs = list(zip(targets, predictions, strict=True))
    hits = [
        normalise_answer(text) in map(normalise_answer, answers)
        for answers, text in pairs
    ]
    raw = [text in answers for answers, text in pairs]
    return {
        EXACT_MATCH: 100 * sum(hits) / len(pairs),
        EXACT_MATCH_RAW: 100 * sum(raw) / len(pairs),
    }
