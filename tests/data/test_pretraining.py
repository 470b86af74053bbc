"""Objectives on raw text: what each asks, and that noise is a function of its place."""

import collections
import itertools

import jax
import numpy as np
import pytest

from jaxprompt.data.pretraining.passages import DENOISING, text_task
from jaxprompt.data.pretraining.skills import SKILLS
from jaxprompt.data.pretraining.tokenizer import train_vocabulary, write_vocabulary
from jaxprompt.data.rows.batches import train_batches
from jaxprompt.data.rows.coverage import measure_coverage
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.rows.position import Position
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

LENGTHS = Lengths(inputs=64, targets=64)
NO_PROMPT = np.zeros(0, np.int32)
WORDS = "kettle stove rain baker loaf friday garden window letter morning".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sentences that are all different, some of them questions."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("text")
    lines = [
        " ".join([f"The {i}", *draw.choice(WORDS, 7)]) + draw.choice([".", "?"])
        for i in range(2000)
    ]
    (folder / "a.txt").write_text("\n\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def vocabulary(folder, tmp_path_factory):
    lines = [(line,) for line in (folder / "a.txt").read_text().split("\n\n")]
    model = train_vocabulary(lines, pieces=150)
    to = tmp_path_factory.mktemp("vocabulary")
    return load_vocabulary(write_vocabulary(to, model, sentinels=20))


@pytest.fixture(scope="module")
def make(folder, vocabulary):
    def make(objectives, **options):
        options = {"validation_share": 0.1, "passage_words": 20, **options}
        return text_task(
            "text", folder, objectives=objectives, vocabulary=vocabulary, **options
        )

    return make


def examples(task, split="train", count=20, epoch=0):
    """The texts and ids of the first rows, in an epoch."""
    rows = task.num_examples(split)
    numbers = epoch * rows + np.arange(min(count, rows))
    layout = layout_of(task, LENGTHS, NO_PROMPT)
    pairs = map(layout.prompted, task.pairs(split, numbers.tolist()))
    return [(pair.inputs.tolist(), pair.targets.tolist()) for pair in pairs]


def texts(task, ids):
    return task.vocabulary.decode(ids)


def is_sentinel(task, token):
    return token >= task.vocabulary.vocab_size - 20


def passage(task, inputs, targets):
    """Puts what is left out of the inputs back in its place."""
    left_out = {}
    for token in targets[:-1]:
        if is_sentinel(task, token):
            left_out[token] = []
        else:
            left_out[next(reversed(left_out))].append(token)
    return [t for token in inputs[:-1] for t in left_out.get(token, [token])]


@pytest.mark.parametrize(
    ("objective", "share"), [("span_corruption", 0.15), ("high_corruption", 0.5)]
)
def test_corruption_moves_spans_of_the_passage_to_the_targets(make, objective, share):
    task = make({objective: 1.0})
    shares, spans = [], []
    for inputs, targets in examples(task):
        assert inputs[-1] == targets[-1] == 1
        whole = passage(task, inputs, targets)
        assert texts(task, whole).startswith("The ")
        assert texts(task, whole)[-1] in ".?"
        masked = [t for t in targets[:-1] if not is_sentinel(task, t)]
        shares.append(len(masked) / len(whole))
        spans.append(len(masked) / (len(targets) - 1 - len(masked)))
    assert np.mean(shares) == pytest.approx(share, abs=0.03)
    assert np.mean(spans) == pytest.approx(3 if share < 0.5 else 6, abs=2)


def test_noise_density_and_span_reach_span_corruption(make):
    task = make({"span_corruption": 1.0}, noise_density=0.4, mean_span=1.0)
    for inputs, targets in examples(task):
        masked = [t for t in targets[:-1] if not is_sentinel(task, t)]
        whole = passage(task, inputs, targets)
        assert len(masked) / len(whole) == pytest.approx(0.4, abs=0.05)
        assert len(targets) - 1 == 2 * len(masked)


def test_prefix_lm_continues_the_passage_from_anywhere(make):
    shares = []
    task = make({"prefix_lm": 1.0})
    for inputs, targets in examples(task, count=40):
        whole = texts(task, inputs[:-1] + targets[:-1])
        assert whole.startswith("The ")
        assert whole[-1] in ".?"
        shares.append(len(inputs) / (len(inputs) + len(targets)))
    assert min(shares) < 0.25
    assert max(shares) > 0.75


def test_deshuffle_asks_for_one_sentence_in_its_order(make):
    task = make({"deshuffle": 1.0})
    moved = 0
    for inputs, targets in examples(task):
        assert texts(task, targets).count("The") == 1
        assert sorted(inputs) == sorted(targets)
        moved += inputs != targets
    assert moved > 15


def test_a_skill_is_told_in_words(make):
    task = make({"question": 1.0})
    answers = collections.Counter()
    for inputs, targets in examples(task):
        assert texts(task, inputs).startswith("question or statement ?")
        answers[texts(task, targets)] += 1
    assert set(answers) == {"question", "statement"}


def test_objectives_come_at_their_rates_and_are_drawn_anew_in_each_epoch(
    make, monkeypatch
):
    monkeypatch.setitem(SKILLS, "question", lambda n, corpus, rng: ("question", "yes"))
    task = make({"span_corruption": 1.0, "question": 3.0})

    def asked(epoch):
        rows = examples(task, count=400, epoch=epoch)
        return [texts(task, inputs).startswith("question") for inputs, _ in rows]

    first, second = asked(0), asked(1)
    assert np.mean(first) == pytest.approx(0.75, abs=0.06)
    assert np.mean(second) == pytest.approx(0.75, abs=0.06)
    assert np.mean(np.equal(first, second)) < 0.8
    assert asked(1) == second


def test_noise_depends_on_the_seed_in_training_and_not_in_validation(make):
    rates = {"span_corruption": 1.0, "prefix_lm": 1.0}
    same, other = make(rates, seed=3), make(rates, seed=4)
    assert examples(same) == examples(make(rates, seed=3))
    assert examples(same) != examples(other)
    assert examples(same) != examples(same, epoch=1)
    assert examples(same, "validation") == examples(other, "validation")


def test_what_lends_itself_to_no_skill_gets_another_objective(make, monkeypatch):
    monkeypatch.setitem(
        SKILLS, "seldom", lambda n, corpus, rng: None if n % 4 else ("seldom", "yes")
    )
    mixed = make({"seldom": 1000.0, "prefix_lm": 1.0})
    asked = [texts(mixed, inputs) == "seldom" for inputs, _ in examples(mixed)]
    assert asked == [n % 4 == 0 for n in range(20)]
    # Alone, it has only the passages that it fits.
    alone = mixed.parts["seldom"].task
    whole = mixed.num_examples("train")
    assert alone.num_examples("train") == -(-whole // 4)
    assert {texts(alone, inputs) for inputs, _ in examples(alone)} == {"seldom"}


def test_the_parts_are_the_objectives_alone(make):
    task = make({"deshuffle": 3, "question": 1})
    assert {name: part.rate for name, part in task.parts.items()} == {
        "deshuffle": 0.75,
        "question": 0.25,
    }
    for inputs, _ in examples(task.parts["question"].task, "validation"):
        assert texts(task, inputs).startswith("question or statement ?")


@pytest.mark.parametrize("pack", [pytest.param(False, marks=pytest.mark.long), True])
def test_going_on_gives_the_same_batches_over_epochs(make, pack):
    # A few hundred passages, of which an epoch is soon over.
    task = make(dict.fromkeys([*DENOISING, "question"], 1.0), validation_share=0.8)

    def stream(start):
        return train_batches(
            task,
            "train",
            LENGTHS,
            NO_PROMPT,
            batch_size=16 if pack else 32,
            seed=5,
            start=start,
            pack=pack,
        )

    whole = list(itertools.islice(stream(Position()), 16))
    epochs = [position.epoch for _, position in whole]
    at = epochs.index(1) + 1
    rest = whole[at + 1 :]
    assert rest
    again = list(itertools.islice(stream(whole[at][1]), len(rest)))
    assert [p for _, p in again] == [p for _, p in rest]
    for (ours, _), (theirs, _) in zip(again, rest, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_training_noises_a_passage_anew_in_every_epoch(make):
    task = make({"prefix_lm": 1.0})
    seen = collections.defaultdict(set)
    batches = train_batches(task, "train", LENGTHS, NO_PROMPT, batch_size=128, seed=0)
    for batch, position in batches:
        if position.epoch == 2:
            break
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
            whole = [*inputs[inputs > 1], *targets[targets > 1]]
            seen[texts(task, [int(i) for i in whole])].add(int((inputs > 0).sum()))
    cuts = [len(lengths) for lengths in seen.values()]
    # Cut in two places at least, but where both are the same by chance.
    assert np.mean(cuts) > 1.7


def test_the_source_knows_its_files_and_what_is_cut(make):
    task = make({"prefix_lm": 1.0})
    assert list(task.source.hashes) == ["a.txt"]
    share = measure_coverage(task, "train", Lengths(4, 60), limit=50)
    assert share.cut_inputs > 0.5
    assert share.cut_targets == 0


def test_a_mistake_is_one_clear_error(make, folder, vocabulary, tmp_path):
    with pytest.raises(ValueError, match="no objective 'spam': use span_corruption"):
        make({"spam": 1.0})
    with pytest.raises(ValueError, match="'prefix_lm' has rate -1"):
        make({"prefix_lm": -1})
    with pytest.raises(ValueError, match="'prefix_lm' has rate '1'"):
        make({"prefix_lm": "1"})
    with pytest.raises(ValueError, match="no objectives"):
        make({})
    with pytest.raises(ValueError, match=r"noise_density 1\.5"):
        make({"prefix_lm": 1.0}, noise_density=1.5)
    with pytest.raises(ValueError, match=r"mean_span 0\.5"):
        make({"prefix_lm": 1.0}, mean_span=0.5)
    bare = write_vocabulary(
        tmp_path, train_vocabulary([(" ".join(WORDS),)] * 50, pieces=100), sentinels=0
    )
    with pytest.raises(ValueError, match="span_corruption needs sentinels, but the"):
        text_task(
            "text",
            folder,
            objectives={"span_corruption": 1.0},
            vocabulary=load_vocabulary(bare),
        )
    with pytest.raises(ValueError, match="no split 'test' in task text"):
        make({"prefix_lm": 1.0}).num_examples("test")


def test_an_objective_that_fits_nothing_is_an_error_before_training(make, monkeypatch):
    monkeypatch.setitem(SKILLS, "never", lambda number, corpus, rng: None)
    with pytest.raises(ValueError, match="passages of split 'train' lends itself to"):
        make({"never": 1.0}).num_examples("train")
