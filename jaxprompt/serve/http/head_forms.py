"""How the answers of heads are written as JSON: labels, tags, and places in a text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxprompt.data.tasks.answers.answers import Answers
from jaxprompt.serve.http.vote import vote
from jaxprompt.serve.texts import LaidForHead


def chosen_labels(
    labels: tuple[str, ...],
    likely: Float[np.ndarray, "Q C"],
    scores: Float[np.ndarray, "Q C"],
    voters: int,
) -> list[dict[str, Any]]:
    """Writes which label each text has, by the votes of the prompts that were asked.

    Args:
        labels: In class order.
        likely: Probability of each label, text by text, of each voter.
        scores: Log-probability of each, as it is told.
        voters: How many prompts answer each text.
    """
    data = []
    for number in range(len(likely) // voters):
        rows = slice(number * voters, (number + 1) * voters)
        chosen: list[str] = [labels[n] for n in likely[rows].argmax(axis=1)]
        found = vote(chosen)
        shares, sums = likely[rows].mean(axis=0), scores[rows].mean(axis=0)
        data.append(
            {
                "index": number,
                "label": chosen[found.winner],
                "probabilities": dict(zip(labels, shares.tolist(), strict=True)),
                "log_probs": dict(zip(labels, sums.tolist(), strict=True)),
                "votes": found.counts,
            }
        )
    return data


def tagged_words(
    labels: Sequence[str],
    words: Sequence[Sequence[str]],
    likely: Sequence[Float[np.ndarray, "L C"]],
    places: Sequence[Int[np.ndarray, " L"]],
) -> list[dict[str, Any]]:
    """Writes the tag of each word of each text, and how likely it is.

    Words that were not read, for want of room or of a token, have the first label, that
    of no span, and no probability.

    Args:
        labels: The tags, in class order.
        words: Those of each text.
        likely: Of each text, the probability of each tag of each word.
        places: Of each text, where each word was read; -1 where it was not.
    """
    data = []
    for number, (row, found, at) in enumerate(zip(words, likely, places, strict=True)):
        tags = []
        for place, word in enumerate(row):
            shares = found[place] if at[place] >= 0 else None
            best = 0 if shares is None else int(shares.argmax())
            share = None if shares is None else float(shares[best])
            tags.append({"word": word, "tag": labels[best], "probability": share})
        data.append({"index": number, "tags": tags})
    return data


def found_answers(
    answers: Answers,
    texts: Sequence[LaidForHead],
    found: Sequence[Float[np.ndarray, "W S 3"]],
) -> list[dict[str, Any]]:
    """Writes the answer that stands in each text, where, and how likely it is.

    Args:
        answers: What the head answers.
        texts: The texts.
        found: What the head found in the windows of each.
    """
    data = []
    for number, (laid, of_text) in enumerate(zip(texts, found, strict=True)):
        answer = answers.decode(of_text, laid.read)
        place = answers.place(of_text, laid.read)
        shares = answers.likelihoods(of_text, of_text, laid.read)
        start, end = (None, None) if place is None else place
        data.append(
            {
                "index": number,
                "answer": answer,
                "start": start,
                "end": end,
                "probability": shares[answer],
                "probabilities": shares,
            }
        )
    return data
