"""Can the task be answered, and does the prompt answer it: labels, lengths, scores."""

import collections
from collections.abc import Sequence

from jaxprompt.data.rows.coverage import Coverage
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.tasks.task import Task
from jaxprompt.doctor.finding import Finding, skipped
from jaxprompt.evaluate.evaluation_set import Scores

LABELS, TRUNCATION, UNKNOWN = "label words", "truncation", "unknown characters"
REACH = "right answers"
COLLAPSE, MAJORITY = "collapse", "majority"

CUT, CUT_MUCH = 0.01, 0.5
"""Share of the inputs that may be cut, or have unknown characters, without a warning;
and share that may be cut as a warning."""

CUT_TARGETS = 0.1
"""Share of the targets that may be cut as a warning: none of these can be right.

The same share holds for targets with unknown characters.
"""


def check_labels(task: Task) -> Finding:
    """Counts the pieces of each label word, and looks for pieces that two share."""
    if task.labels is None:
        return skipped(LABELS, "Answers are free text: there are no label words.")
    pieces = {word: [*task.vocabulary.encode(word)] for word in task.labels}
    unknown = task.vocabulary.unk_id
    longest = max(map(len, pieces.values()))
    faults = []
    if longest > 1:
        split = [f"{word!r} ({len(ids)})" for word, ids in pieces.items() if ids[1:]]
        faults.append(f"{', '.join(split)} take several tokens")
    firsts = collections.Counter(ids[0] for ids in pieces.values() if ids)
    alike = [word for word, ids in pieces.items() if ids and firsts[ids[0]] > 1]
    if alike:
        faults.append(f"{', '.join(map(repr, alike))} begin with the same token")
    missing = [word for word, ids in pieces.items() if unknown in ids]
    if missing:
        faults.append(f"{', '.join(map(repr, missing))} hold the unknown token")
    if not faults:
        says = f"Each of {', '.join(map(repr, pieces))} is one token, and its own."
        return Finding(LABELS, "ok", longest, says)
    says = (
        f"Of the label words {'; '.join(faults)}. A prompt has to learn how they are "
        "written too. Words of one common token each are easier: set label_words of "
        "the task; or choose among them, with --gin.METHOD=rank."
    )
    return Finding(LABELS, "warning", longest, says)


def check_truncation(share: Coverage, lengths: Lengths) -> Finding:
    """Judges how many training examples do not fit."""
    worst = max(share.cut_inputs, share.cut_targets)
    says = (
        f"Of {share.examples} training examples {share.cut_inputs:.1%} have their "
        f"inputs cut, at {lengths.inputs} tokens, and {share.cut_targets:.1%} their "
        f"targets, at {lengths.targets}"
    )
    if worst <= CUT:
        return Finding(TRUNCATION, "ok", worst, f"{says}.")
    names = [
        name
        for name, cut in (
            ("INPUT_LENGTH", share.cut_inputs),
            ("TARGET_LENGTH", share.cut_targets),
        )
        if cut > CUT
    ]
    is_wrong = share.cut_inputs > CUT_MUCH or share.cut_targets > CUT_TARGETS
    says += f": what is cut off is never seen. Raise {' and '.join(names)}."
    return Finding(TRUNCATION, "wrong" if is_wrong else "warning", worst, says)


def check_unknown(share: Coverage) -> Finding:
    """Judges how many training examples hold characters that the vocabulary lacks."""
    worst = max(share.unknown_inputs, share.unknown_targets)
    says = (
        f"Of {share.examples} training examples {share.unknown_inputs:.1%} have "
        "characters in their inputs that the vocabulary lacks, and "
        f"{share.unknown_targets:.1%} in their targets"
    )
    if share.shown:
        says += f". The first: {share.shown}"
    if share.unknown_inputs <= CUT and not share.unknown_targets:
        return Finding(UNKNOWN, "ok", worst, f"{says}.")
    says += (
        ". The model reads <unk> in their place, and no answer can equal such "
        "a target: write them in other words, or take a model whose vocabulary has "
        "them."
    )
    is_wrong = share.unknown_targets > CUT_TARGETS
    return Finding(UNKNOWN, "wrong" if is_wrong else "warning", worst, says)


def check_reach(score: float, limits: Sequence[str]) -> Finding:
    """Tells whether right answers score 100, and empty ones 0.

    Args:
        score: Of the true targets as a model would write them, 0 to 100.
        limits: What `EvaluationSet.limits` says of the validation split.
    """
    if not limits:
        return Finding(REACH, "ok", score, "Right answers score 100, empty ones 0.")
    says = "; ".join(limits)
    return Finding(REACH, "warning", score, f"{says[0].upper()}{says[1:]}.")


def check_collapse(scores: Scores, targets: Sequence[str]) -> Finding:
    """Tells whether all predictions are the same while the targets differ.

    Args:
        scores: Of a sample.
        targets: Its true target texts.
    """
    counts = collections.Counter(scores.predictions)
    answer, most = counts.most_common(1)[0]
    share = most / len(scores.predictions)
    of_targets = collections.Counter(targets).most_common(1)[0][1] / len(targets)
    if len(counts) > 1 or len(set(targets)) == 1:
        says = (
            f"{len(counts)} different answers to {len(targets)} examples, the most "
            f"frequent {answer!r} to {share:.1%}; of the true ones the most frequent "
            f"has {of_targets:.1%}."
        )
        return Finding(COLLAPSE, "ok", share, says)
    says = (
        f"All {len(targets)} examples get the answer {answer!r}: the prompt says what "
        "to answer, whatever the input. Train longer, with a lower learning rate or "
        "from another seed; and see whether the model can do the task at all, by "
        "TRAINS='model'."
    )
    return Finding(COLLAPSE, "wrong", share, says)


def check_majority(scores: Scores, majority: Scores) -> Finding:
    """Compares the score of a sample with that of its most frequent class."""
    ahead = scores.score - majority.score
    says = (
        f"On {len(scores.predictions)} examples the prompt scores {scores.score:.1f} "
        f"({scores.metric}), the most frequent answer {majority.score:.1f}"
    )
    if ahead > 0:
        return Finding(MAJORITY, "ok", ahead, f"{says}.")
    illegal = f"; {scores.illegal:.1%} of its answers are no label word"
    says += f"{illegal if scores.illegal else ''}. It has not learned the task. "
    says += (
        "Rank the label words, with --gin.METHOD=rank, or train longer."
        if scores.illegal > 0.1
        else "Train longer, try a learning rate 10 times lower or higher, or another "
        "model."
    )
    return Finding(MAJORITY, "wrong", ahead, says)
