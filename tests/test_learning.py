"""The end-to-end proof: soft prompts find the skills of a frozen T5.

A tiny T5 is trained whole on four skills told apart by a prefix word, then frozen.
Without that word, a prompt must find the skill, whatever it starts from: every skill,
and every initialiser; `make test-long` takes every skill from every initialiser, by
three seeds. All of these prompts are members of one bank and train together.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import make_skills
import numpy as np
import pytest
import sentencepiece
from amounts import LONG

from jaxprompt.evaluate.decode import greedy
from jaxprompt.models.load import load
from jaxprompt.models.t5.model import T5
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.init import METHODS, init_prompt
from jaxprompt.prompts.prompt import empty_prompt, stack
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, Params, unpacked_batch
from jaxprompt.train.optimizer import adafactor, make_schedule, train_only
from jaxprompt.train.step import init_state, make_train_step

LENGTH, STEPS = 8, 200
SKILLS = tuple(make_skills.SKILLS)
ALL = list(itertools.product(SKILLS, METHODS, range(3)))
EACH_ONCE = list(zip(itertools.cycle(SKILLS), METHODS, itertools.repeat(0)))
MEMBERS = ALL if LONG else EACH_ONCE
"""Skill, initialiser and seed of each prompt."""


def draw(
    vocabulary: sentencepiece.SentencePieceProcessor,
    rng: np.random.Generator,
    first_ids: list[np.ndarray],
    skills: list[str],
    rows: int,
) -> Batch:
    """Draws sentences: `rows` for each prompt, behind its ids, with no prefix word."""
    inputs, targets, members = [], [], []
    for member, (ids, skill) in enumerate(zip(first_ids, skills, strict=True)):
        for _ in range(rows):
            sentence = make_skills.draw_sentence(rng)
            answer = make_skills.SKILLS[skill](sentence)
            inputs.append([*ids, *vocabulary.encode(str(sentence)), make_skills.END])
            targets.append([*vocabulary.encode(answer), make_skills.END])
            members.append(member)
    batch = unpacked_batch(np.array(inputs), np.array(targets))
    return dataclasses.replace(batch, members=jnp.asarray(members))


def accuracy(backbone: T5, params: Params, batch: Batch, groups: int) -> np.ndarray:
    """Share of the greedily decoded answers that are right, for each prompt."""
    answers = jax.jit(lambda p, b: greedy(backbone, p, b, length=2))(params, batch)
    right = np.asarray((answers == batch.targets).all(axis=1))
    return right.reshape(groups, -1).mean(axis=1)


def accuracy_with_words(folder: Path) -> np.ndarray:
    """Share of right answers behind the words that the backbone was trained with."""
    backbone, model, pieces = opened(folder)
    words = [np.array(pieces.encode(skill)) for skill in SKILLS]
    told = draw(pieces, np.random.default_rng(9), words, list(SKILLS), 64)
    alone = {"model": model, "prompt": empty_prompt(backbone.width)}
    return accuracy(backbone, alone, told, len(SKILLS))


def opened(folder: Path) -> tuple[T5, Any, sentencepiece.SentencePieceProcessor]:
    backbone, model = load(folder)
    assert isinstance(backbone, T5)
    assert backbone.vocabulary
    pieces = sentencepiece.SentencePieceProcessor(model_file=backbone.vocabulary)
    return backbone, model, pieces


@pytest.fixture(scope="module")
def backbone_and_vocabulary(skills: Path):
    return opened(skills / "backbone")


@pytest.mark.long
def test_the_backbone_can_be_made_again(tmp_path: Path, skills: Path):
    make_skills.make_skills(tmp_path / "made")
    told = accuracy_with_words(tmp_path / "made" / "backbone")
    assert told.min() > 0.98
    for name in ("first/train.jsonl", "earlier/validation.jsonl"):
        assert (tmp_path / "made" / name).read_text() == (skills / name).read_text()


def test_without_the_prefix_word_the_frozen_model_does_not_know_the_skill(
    backbone_and_vocabulary, skills: Path
):
    backbone, model, pieces = backbone_and_vocabulary
    no_ids = [np.zeros(0, np.int32)] * len(SKILLS)
    held_out = draw(pieces, np.random.default_rng(9), no_ids, list(SKILLS), 64)
    alone = {"model": model, "prompt": empty_prompt(backbone.width)}
    untuned = accuracy(backbone, alone, held_out, len(SKILLS))
    assert untuned.mean() < 0.6, dict(zip(SKILLS, untuned, strict=True))

    assert accuracy_with_words(skills / "backbone").min() > 0.98


def test_prompts_find_the_skills_from_every_start(
    backbone_and_vocabulary, tmp_path: Path
):
    backbone, model, pieces = backbone_and_vocabulary
    table = backbone.table(model)
    file = tmp_path / "start.safetensors"
    other = init_prompt(
        jax.random.key(77), table, length=LENGTH, top=pieces.vocab_size()
    )
    save_prompt(file, other, backbone)

    def start(skill: str, method: str, seed: int):
        words = ("yes", "no") if skill == "question" else make_skills.WORDS[:3]
        return init_prompt(
            jax.random.key(seed),
            table,
            length=LENGTH,
            method=method,
            top=pieces.vocab_size(),
            words=words,
            text="apple or pear :",
            file=file,
            encode=pieces.encode,
        )

    bank = stack([start(*member) for member in MEMBERS])
    ids = [prefix(backbone.vocab_rows, LENGTH)] * len(MEMBERS)
    skills = [skill for skill, _, _ in MEMBERS]
    tx = train_only(adafactor(make_schedule("linear", 0.3, steps=STEPS)))
    state, frozen = init_state({"model": model, "prompt": bank}, tx)
    before = jax.tree.map(np.array, model)
    train_step = make_train_step(backbone, tx)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        state, _ = train_step(state, frozen, draw(pieces, rng, ids, skills, 8))

    held_out = draw(pieces, np.random.default_rng(1), ids, skills, 64)
    scores = accuracy(backbone, {**frozen, **state.trained}, held_out, len(MEMBERS))
    poor = {
        member: score
        for member, score in zip(MEMBERS, scores, strict=True)
        if score < 0.9
    }
    assert not poor
    assert scores.mean() > 0.99
    jax.tree.map(np.testing.assert_array_equal, before, frozen["model"])
