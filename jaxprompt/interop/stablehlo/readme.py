"""The README of a whole-step export: how to run it, in lines that do run."""

from collections.abc import Sequence

from jaxprompt.prompts.provenance import Provenance
from jaxprompt.report.text.markdown import markdown

_ABOUT = """\
# {task}: {backbone} with a soft prompt

A frozen T5 with a trained prompt of {prompt} as one program. It runs
on a CPU, a CUDA GPU or a TPU, with nothing but these packages:

    pip install jax flatbuffers safetensors {tokenizer}

## Run it

In this folder:

```python
{code}
```

## What is here

| file | what it is |
| --- | --- |
| `predict.stablehlo` | `predict(weights, inputs)`, written by `jax.export` |
| `weights.safetensors` | the model's weights, and the prompt's under `prompt/` |
| `{vocabulary}` | the vocabulary |

`inputs` is int32 [B, T] of any size: the ids of a text, end-of-sequence (1), then 0 up
to the longest. {texts}

{result}

jax.export promises that a later jax reads the program for at least six months. In it is
StableHLO, which other compilers read too: `export.deserialize(...).mlir_module()`.
"""

_CODE = """\
import jax, numpy as np, {tokenizer}
from jax import export
from safetensors.numpy import load_file

texts = ["the first text", "the second"]
predict = export.deserialize(bytearray(open("predict.stablehlo", "rb").read())).call
weights, pieces = load_file("weights.safetensors"), {load}
rows = [{encode}[:{last}] + [1] for text in texts]
longest = max(map(len, rows))
inputs = np.array([row + [0] * (longest - len(row)) for row in rows], np.int32)
{answer}"""

_IDS = """\
ids = np.asarray(jax.jit(predict)(weights, inputs))
rows = [[i for i in row if 1 < i < {size}] for row in ids.tolist()]
print([{decode} for row in rows])"""

_SCORES = """\
scores, labels = np.asarray(jax.jit(predict)(weights, inputs)), {labels}
print([labels[place] for place in scores.argmax(axis=1)])"""


def readme(
    provenance: Provenance,
    prompt: str,
    *,
    method: str,
    inputs: int,
    labels: Sequence[str],
    vocabulary: str,
    text_format: str = "",
) -> str:
    """Writes the README.

    Args:
        provenance: Where the prompt comes from.
        prompt: What it consists of, in words.
        method: "greedy", "beam" or "rank".
        inputs: Longest text in tokens, end-of-sequence included.
        labels: The label words, for "rank".
        vocabulary: Name of the vocabulary's file.
        text_format: A sentence on how an input text is written.
    """
    if vocabulary.endswith(".json"):
        tokenizer = "tokenizers"
        load = f'tokenizers.Tokenizer.from_file("{vocabulary}")'
        encode = "pieces.encode(text, add_special_tokens=False).ids"
        size = "pieces.get_vocab_size()"
        decode = "pieces.decode(row, skip_special_tokens=False)"
    else:
        tokenizer = "sentencepiece"
        load = f'sentencepiece.SentencePieceProcessor(model_file="{vocabulary}")'
        encode, size = "pieces.encode(text)", "len(pieces)"
        decode = "pieces.decode(row)"
    if method == "rank":
        answer = _SCORES.format(labels=list(labels))
        result = (
            f"The result is float32 [B, {len(labels)}]: the log-probability of each "
            "label, in nats."
        )
    else:
        answer = _IDS.format(size=size, decode=decode)
        result = "The result is int32 [B, L]: the ids of the answer, 0 behind its end."
    code = _CODE.format(
        tokenizer=tokenizer, load=load, encode=encode, last=inputs - 1, answer=answer
    )
    return _ABOUT.format(
        task=markdown(provenance.task or "A task"),
        backbone=markdown(provenance.backbone),
        prompt=prompt,
        tokenizer=tokenizer,
        code=code,
        vocabulary=vocabulary,
        texts=f"The prompt was trained on texts of up to {inputs} tokens.\n"
        + text_format,
        result=result,
    )
