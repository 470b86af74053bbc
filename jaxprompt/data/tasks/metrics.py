"""Metrics of one's own tasks, on t5's scale of 0 to 100 and under t5's names."""

import collections
import itertools
import math
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# Each library is imported where it scores: it takes up to a second, and most tasks are
# scored by accuracy.

Metric = Callable[[Sequence[Any], Sequence[Any]], Mapping[str, float]]
"""From what is compared of the targets and of the predictions to named values."""

# scikit-learn takes it, but its stubs say that it is a text.
_NONE: Any = 0
"""What F1 is of a class that neither targets nor predictions hold."""

_ROUGE = ("rouge1", "rouge2", "rougeLsum")


def accuracy(targets: Sequence[Any], predictions: Sequence[Any]) -> Mapping[str, float]:
    """Returns the share of predictions that are their target."""
    hits = [
        target == prediction
        for target, prediction in zip(targets, predictions, strict=True)
    ]
    return {"accuracy": 100 * float(np.mean(hits))}


def sequence_accuracy(
    targets: Sequence[str], predictions: Sequence[str]
) -> Mapping[str, float]:
    """Returns the share of texts that are their target, character by character."""
    return {"sequence_accuracy": accuracy(targets, predictions)["accuracy"]}


def squad(
    targets: Sequence[str | Sequence[str]], predictions: Sequence[str]
) -> Mapping[str, float]:
    """Returns exact match "em" and word overlap "f1", both normalised as in SQuAD.

    A target may be several texts, of which the best one counts. A target without words,
    such as "the" or "+", is met by an answer without words.

    Source: compute_exact and compute_f1 of SQuAD 2.0's evaluation script,
    https://rajpurkar.github.io/SQuAD-explorer.
    """
    exact, overlap = [], []
    for target, prediction in zip(targets, predictions, strict=True):
        found = squad_words(prediction)
        several = [target] if isinstance(target, str) else target
        true = [squad_words(text) for text in several]
        exact.append(found in true)
        overlap.append(max(_overlap(one, found) for one in true))
    return {"em": 100 * float(np.mean(exact)), "f1": 100 * float(np.mean(overlap))}


def squad_2(
    targets: Sequence[Sequence[str]], predictions: Sequence[str]
) -> Mapping[str, float]:
    """Returns what `squad` does, and the same of questions with and without an answer.

    Those are "has_answer_em", "has_answer_f1" and "no_answer_em", where there are any.
    Of a question without an answer the only target is "".

    Source: SQuAD 2.0's evaluation script, which calls them HasAns_exact, HasAns_f1 and
    NoAns_exact.
    """
    found = dict(squad(targets, predictions))
    for name, kinds, wanted in (
        ("has_answer", ("em", "f1"), True),
        ("no_answer", ("em",), False),
    ):
        rows = [n for n, target in enumerate(targets) if any(target) == wanted]
        if rows:
            part = squad([targets[n] for n in rows], [predictions[n] for n in rows])
            found |= {f"{name}_{kind}": part[kind] for kind in kinds}
    return found


def squad_words(text: str) -> list[str]:
    """Returns the words that SQuAD compares: no case, punctuation or article."""
    text = "".join(x for x in text.lower() if x not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _overlap(target: list[str], found: list[str]) -> float:
    if not target or not found:
        return float(target == found)
    common = (collections.Counter(target) & collections.Counter(found)).total()
    return 2 * common / (len(target) + len(found))


def rouge(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, float]:
    """Returns the F-measures "rouge1", "rouge2" and "rougeLsum".

    Each line, and each text between " . ", is a sentence. The value is the median of
    means over samples of the rows, always the same ones.

    Source: t5.evaluation.metrics.rouge.
    """
    from rouge_score import rouge_scorer, scoring

    scorer = rouge_scorer.RougeScorer(_ROUGE)
    aggregator = scoring.BootstrapAggregator()
    for target, prediction in zip(targets, predictions, strict=True):
        texts = (text.replace(" . ", " .\n") for text in (target, prediction))
        aggregator.add_scores(scorer.score(*texts))
    state = np.random.get_state()
    np.random.seed(0)
    try:
        found: Any = aggregator.aggregate()
    finally:
        np.random.set_state(state)
    return {name: 100 * found[name].mid.fmeasure for name in _ROUGE}


def bleu(
    targets: Sequence[str | Sequence[str]], predictions: Sequence[str]
) -> Mapping[str, float]:
    """Returns the corpus BLEU of international tokens, as t5 does.

    A target may be several texts, as many as it has: an n-gram counts as often as the
    one of them that has it most, and the length is that of the nearest in length.

    Source: Papineni et al. 2002, https://aclanthology.org/P02-1040, by sacrebleu.
    """
    import sacrebleu

    several = [[text] if isinstance(text, str) else text for text in targets]
    found = sacrebleu.corpus_bleu(
        list(predictions),
        # The first texts of all rows, then the second: None where a row has no more.
        [list(texts) for texts in itertools.zip_longest(*several)],
        smooth_method="exp",
        smooth_value=0.0,
        tokenize="intl",
    )
    return {"bleu": found.score}


def f1_score_with_invalid(
    targets: Sequence[int], predictions: Sequence[int]
) -> Mapping[str, float]:
    """Returns the F1 of class 1 out of two; a prediction of neither class is wrong."""
    import sklearn.metrics

    true, found = np.asarray(targets), np.asarray(predictions)
    found = np.where((found == 0) | (found == 1), found, 1 - true)
    return {"f1": 100 * sklearn.metrics.f1_score(true, found, zero_division=_NONE)}


def matthews_corrcoef(
    targets: Sequence[int], predictions: Sequence[int]
) -> Mapping[str, float]:
    """Returns Matthews' correlation, -100 to 100; 0 where either side is constant."""
    import sklearn.metrics

    if len({*targets, *predictions}) == 1:  # scikit-learn says 0 too, and warns.
        return {"matthews_corrcoef": 0.0}
    found = sklearn.metrics.matthews_corrcoef(targets, predictions)
    return {"matthews_corrcoef": 100 * found}


def mean_multiclass_f1(num_classes: int) -> Metric:
    """Makes the mean F1 of the classes that a split or the predictions for it hold.

    This is scikit-learn's macro average. t5's function, which SuperGLUE's CB keeps,
    also counts a class that is nowhere, with an F1 of 0: perfect predictions of two
    classes out of three would score 66.7. A prediction that is no class is wrong, but
    no class of its own.
    """

    def mean_f1(
        targets: Sequence[int], predictions: Sequence[int]
    ) -> Mapping[str, float]:
        import sklearn.metrics

        present = sorted({*targets, *predictions} & {*range(num_classes)})
        found = sklearn.metrics.f1_score(
            targets, predictions, labels=present, average="macro", zero_division=_NONE
        )
        return {f"mean_{num_classes}class_f1": 100 * found}

    return mean_f1


def exact_match(
    targets: Sequence[str], predictions: Sequence[str]
) -> Mapping[str, float]:
    """Returns the share of texts that are their target, character by character."""
    return {"exact_match": accuracy(targets, predictions)["accuracy"]}


def pearson(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, float]:
    """Returns the linear correlation of numbers that are written as texts, -100 to 100.

    It is 0 where either side is constant, as of the majority baseline. A prediction
    that is no number counts as that end of the targets' range which is farther off.
    """
    import scipy.stats

    return {"pearson": _correlation(scipy.stats.pearsonr, targets, predictions)}


def spearman(targets: Sequence[str], predictions: Sequence[str]) -> Mapping[str, float]:
    """Returns the correlation of the ranks of such numbers; see `pearson`."""
    import scipy.stats

    return {"spearman": _correlation(scipy.stats.spearmanr, targets, predictions)}


def _correlation(
    correlate: Callable[..., Any], targets: Sequence[str], predictions: Sequence[str]
) -> float:
    true = np.array([number_of(text) for text in targets], float)
    found = np.array([number_of(text) for text in predictions], float)
    low, high = true.min(), true.max()
    farther = np.where(true - low > high - true, low, high)
    found = np.where(np.isnan(found), farther, found)
    if min(np.ptp(true), np.ptp(found)) == 0:
        return 0.0
    return 100 * float(correlate(true, found).statistic)


def number_of(text: str) -> float:
    """Returns the number that a text is; NaN if it is none, or not finite."""
    try:
        found = float(text)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def with_name(name: str, metric: Metric) -> Metric:
    """Makes a metric of one value give it another name."""

    def named(
        targets: Sequence[Any], predictions: Sequence[Any]
    ) -> Mapping[str, float]:
        (value,) = metric(targets, predictions).values()
        return {name: value}

    return named


def of_nearest(metric: Metric) -> Metric:
    """Makes a metric of several right answers: of each row the nearest one counts.

    That is the one that equals the prediction, or else overlaps with it most, in words
    as SQuAD compares them.

    Args:
        metric: Of one text for each row.

    Returns:
        A metric of lists of texts and of predictions.
    """

    def compare(
        targets: Sequence[Sequence[str]], predictions: Sequence[str]
    ) -> Mapping[str, float]:
        pairs = zip(targets, predictions, strict=True)
        return metric([_nearest(*pair) for pair in pairs], predictions)

    return compare


def _nearest(answers: Sequence[str], prediction: str) -> str:
    if prediction in answers:
        return prediction
    found = squad_words(prediction)
    return max(answers, key=lambda answer: _overlap(squad_words(answer), found))


METRICS: Mapping[str, Metric] = {
    "accuracy": accuracy,
    "exact_match": exact_match,
    "sequence_accuracy": sequence_accuracy,
    "squad": squad,
    "rouge": rouge,
    "bleu": bleu,
    "pearson": pearson,
    "spearman": spearman,
}
"""Metrics of texts; of these, only accuracy suits a task with labels."""

OF_NUMBERS = ("pearson", "spearman")
"""Those of `METRICS` whose targets are numbers."""

OF_SENTENCES = ("rouge",)
"""Those of `METRICS` that take each line of a target for a sentence."""

OF_SEVERAL = ("squad", "bleu")
"""Those of `METRICS` that compare a prediction with all of several right answers."""

LABEL_METRICS: Mapping[str, Callable[[int], Metric]] = {
    "accuracy": lambda num_classes: accuracy,
    "f1_score_with_invalid": lambda num_classes: f1_score_with_invalid,
    "matthews_corrcoef": lambda num_classes: matthews_corrcoef,
    "mcc": lambda num_classes: with_name("mcc", matthews_corrcoef),
    "mean_multiclass_f1": mean_multiclass_f1,
    "macro_f1": lambda num_classes: with_name(
        "macro_f1", mean_multiclass_f1(num_classes)
    ),
}
"""Metrics of class indices, made from the number of classes."""
