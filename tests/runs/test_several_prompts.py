"""Several prompt files at once: each row has the answer of its own prompt alone."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.bundled import resolve
from jaxprompt.config import Data, Evaluation, Model, OwnTask, Run
from jaxprompt.data.vocabulary import load_vocabulary
from jaxprompt.models.backbone import save
from jaxprompt.models.gpt2 import GPT2
from jaxprompt.models.gpt2_config import GPT2Config
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.runs import predict

TEXTS = ("", "rain", "a film of joy")
RUN = Run(
    model=Model(name="model"),
    data=Data(
        task=OwnTask(
            name="own",
            files={"train": "rows.jsonl", "validation": "rows.jsonl"},
            inputs="{ask}",
            target="say",
        ),
        input_length=8,
        target_length=4,
    ),
    evaluation=Evaluation(batch_size=8),
    batch_size=8,
)


@pytest.fixture(scope="module", autouse=True)
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a random GPT-2, rows, and prompts of two and of three tokens."""
    folder = tmp_path_factory.mktemp("several")
    spiece = Path(resolve("bundled:nano")) / "spiece.model"
    size = int(load_vocabulary(spiece, causal=True).vocab_size)
    config = GPT2Config(
        vocab_size=size - 1, width=16, heads=2, ffn_width=24, layers=2, positions=32
    )
    backbone = dataclasses.replace(GPT2(config), vocabulary=str(spiece))
    draw = np.random.default_rng(0)
    model = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0.0, 0.5, leaf.shape), leaf.dtype),
        jax.eval_shape(backbone.init, jax.random.key(0)),
    )
    save(folder / "model", backbone, model)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        backbone = dataclasses.replace(backbone, name="model")
        for name, length in {"a": 3, "b": 3, "c": 2}.items():
            prompt = make_prompt(jnp.asarray(draw.normal(size=(length, 16))))
            save_prompt(f"{name}.safetensors", prompt, backbone, task="own")
        rows = [{"ask": text, "say": "yes"} for text in TEXTS]
        Path("rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        yield


def answers(names: str, rows: list[dict[str, str]], run: Run = RUN) -> list[str]:
    """Answers rows with the prompts of these names."""
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(
        {Path(f"{name}.safetensors"): run for name in names},
        source="asked.jsonl",
        output="said.jsonl",
        overwrite=True,
        another_backbone=True,
    )
    said = Path("said.jsonl").read_text().splitlines()
    return [json.loads(line)["prediction"] for line in said]


@pytest.mark.parametrize("names", ["ab", "cab"], ids=["one length", "two lengths"])
def test_a_decoder_answers_each_row_by_its_own_prompt_alone(names: str):
    alone = {name: answers(name, [{"ask": text} for text in TEXTS]) for name in names}
    asked = [{"prompt": name, "ask": text} for text in TEXTS for name in names]
    expected = [alone[name][place] for place in range(len(TEXTS)) for name in names]
    assert answers(names, asked) == expected
    assert len({texts[0] for texts in alone.values()}) > 1


def test_a_sampled_answer_does_not_depend_on_the_other_rows_of_the_file():
    run = dataclasses.replace(RUN, evaluation=Evaluation(method="nucleus"))
    asked = [{"ask": text} for text in TEXTS]
    alone = answers("a", asked, run)
    assert answers("a", asked[:2], run) == alone[:2]
    shared = [{"prompt": name, **row} for name, row in zip("aba", asked, strict=True)]
    found = answers("ab", shared, run)
    assert [found[0], found[2]] == [alone[0], alone[2]]
    # The same text in another line is answered by chance, too.
    assert len(set(answers("a", [{"ask": ""}] * 4, run))) > 1
