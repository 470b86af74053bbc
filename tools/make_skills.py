"""Makes a tiny frozen T5 that knows four skills, and the data to prompt them with.

The model is trained whole, from nothing, in about a minute: each input begins with a
word that says which skill is wanted. Prompt tuning then has to find a skill without
that word. No download and no outside text; the same seed gives the same files.

    python tools/make_skills.py OUT

writes OUT/backbone (a Hugging Face folder) and OUT/SKILL/{train,validation}.jsonl with
the fields text and answer.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import optax
import sentencepiece
from tqdm import tqdm

from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.t5.model import T5
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.shapes import Batch, Params, unpacked_batch
from jaxprompt.train.optimizer import MODEL_TUNING, train_only
from jaxprompt.train.step import init_state, make_train_step

WORDS = (
    "apple bear cloud door eagle fence grape house island jacket kite lemon moon nest "
    "ocean pear queen river stone tiger uncle violin water yarn zebra bread candle drum"
).split()
SENTENCE = 5
"""Words of one sentence, all different."""

HARD_SHARES = (0.15, 0.15, 0.15, 0.55)
"""Share of each skill in the first half of the training: the last is the hardest. The
second half has all alike, or the model would take that one where no prefix says."""

END = 1
"""End-of-sequence."""

STEPS, BATCH_SIZE, LEARNING_RATE = 4000, 64, 3e-3
ROWS = {"train": 2000, "validation": 256}


@dataclasses.dataclass(frozen=True)
class Sentence:
    """What every skill reads: "river or stone : apple river moon stone kite ?"."""

    words: tuple[str, ...]
    pair: tuple[str, str]
    is_question: bool

    def __str__(self) -> str:
        mark = "?" if self.is_question else "."
        return f"{self.pair[0]} or {self.pair[1]} : {' '.join(self.words)} {mark}"


SKILLS: dict[str, Callable[[Sentence], str]] = {
    "first": lambda sentence: sentence.words[0],
    "last": lambda sentence: sentence.words[-1],
    "question": lambda sentence: "yes" if sentence.is_question else "no",
    "earlier": lambda sentence: min(sentence.pair, key=sentence.words.index),
}
"""Skill, which is also its prefix word, and what it answers."""


def draw_sentence(rng: np.random.Generator) -> Sentence:
    """Draws a sentence and two of its words, in either order."""
    words = tuple(str(word) for word in rng.choice(WORDS, SENTENCE, replace=False))
    first, second = rng.choice(SENTENCE, 2, replace=False)
    return Sentence(words, (words[first], words[second]), bool(rng.integers(2)))


def make_vocabulary(folder: Path) -> sentencepiece.SentencePieceProcessor:
    """Writes spiece.model, where each word is one piece, and loads it."""
    pieces = [*WORDS, *SKILLS, "yes", "no", "or", ":", ".", "?"]
    path = folder / "spiece.model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(pieces)] * 10),
        model_prefix=str(path.with_suffix("")),
        model_type="word",
        vocab_size=len(pieces) + 3,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    path.with_suffix(".vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def make_batch(
    vocabulary: sentencepiece.SentencePieceProcessor,
    rng: np.random.Generator,
    shares: tuple[float, ...] | None = None,
) -> Batch:
    """Draws sentences, each behind the prefix word of a random skill."""
    skills = [str(skill) for skill in rng.choice(list(SKILLS), BATCH_SIZE, p=shares)]
    sentences = [draw_sentence(rng) for _ in skills]
    prefixed = [
        f"{skill} {sentence}" for skill, sentence in zip(skills, sentences, strict=True)
    ]
    answers = [
        SKILLS[skill](sentence)
        for skill, sentence in zip(skills, sentences, strict=True)
    ]
    return unpacked_batch(_encode(vocabulary, prefixed), _encode(vocabulary, answers))


def _encode(
    vocabulary: sentencepiece.SentencePieceProcessor, texts: list[str]
) -> np.ndarray:
    """Encodes texts of equally many words: each word is one piece."""
    return np.array([[*ids, END] for ids in vocabulary.encode(texts)], np.int32)


def train_backbone(
    vocabulary: sentencepiece.SentencePieceProcessor, *, seed: int, steps: int
) -> tuple[T5, Params, float]:
    """Trains the tiny T5 whole; returns it, its weights and its last accuracy."""
    config = T5Config(
        vocab_rows=64,
        width=64,
        heads=4,
        head_width=16,
        ffn_width=128,
        encoder_layers=2,
        decoder_layers=2,
        gated=True,
        activation="gelu_new",
        tied=False,
        scaled_logits=False,
    )
    backbone = T5(config, name="skills")
    model = backbone.init(jax.random.key(seed))
    warmup = min(100, steps // 10)
    schedule = optax.warmup_cosine_decay_schedule(0.0, LEARNING_RATE, warmup, steps)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    tx = train_only(tx, MODEL_TUNING)
    params = {"model": model, "prompt": empty_prompt(config.width)}
    state, frozen = init_state(params, tx, MODEL_TUNING)
    step = make_train_step(backbone, tx, freeze=MODEL_TUNING)
    rng = np.random.default_rng(seed)
    accuracies: list[jax.Array] = []  # Left on the device: fetching one waits for it.
    for index in (bar := tqdm(range(steps), desc="training the backbone")):
        shares = HARD_SHARES if index < steps // 2 else None
        state, metrics = step(state, frozen, make_batch(vocabulary, rng, shares))
        accuracies.append(metrics["accuracy"])
        if len(accuracies) % 100 == 0:
            recent = float(np.mean(jax.device_get(accuracies[-20:])))
            bar.set_postfix(accuracy=f"{recent:.3f}")
    accuracy = float(np.mean(jax.device_get(accuracies[-100:])))
    return backbone, state.trained["model"], accuracy


def make_skills(folder: Path, *, seed: int = 0, steps: int = STEPS) -> None:
    """Writes the backbone and each skill's data into a new folder.

    Args:
        folder: The folder to make.
        seed: Of the weights and of all sentences.
        steps: Of the backbone's training.

    Raises:
        FileExistsError: If the folder exists.
    """
    folder.mkdir(parents=True)
    vocabulary = make_vocabulary(folder)
    backbone, model, accuracy = train_backbone(vocabulary, seed=seed, steps=steps)
    spiece = folder / "spiece.model"
    backbone = dataclasses.replace(backbone, vocabulary=str(spiece))
    save(folder / "backbone", backbone, model)
    spiece.unlink()
    write_data(folder, seed=seed)
    print(f"wrote {folder}: with its prefix words the backbone is {accuracy:.1%} right")


def write_data(folder: Path, *, seed: int = 0) -> None:
    """Writes each skill's rows, of sentences that the backbone of a seed did not see.

    Args:
        folder: A folder that exists.
        seed: Of the backbone.
    """
    rng = np.random.default_rng([seed, 1])  # Another stream than that of the training.
    for skill, answer in SKILLS.items():
        (folder / skill).mkdir()
        for split, count in ROWS.items():
            sentences = [draw_sentence(rng) for _ in range(count)]
            lines = [
                json.dumps({"text": str(sentence), "answer": answer(sentence)})
                for sentence in sentences
            ]
            (folder / skill / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Make a tiny T5 that knows four skills."
    )
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    flags = parser.parse_args()
    make_skills(flags.out, seed=flags.seed, steps=flags.steps)
