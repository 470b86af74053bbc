"""What TensorFlow, seqio and t5 import comes when it is used, and then all of it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from jaxprompt.data.official.libraries import t5_metrics, tf

later = "pandas", "pyglove", "rouge_score.scoring", "sacrebleu", "tensorflow_text"
print("keras" in sys.modules, "matplotlib" in sys.modules, "nltk" in sys.modules)
print({type(sys.modules[name]).__name__ for name in later})
print(t5_metrics.rouge(["a b"], ["a b"])["rouge1"] > 99)
print(t5_metrics.bleu(["a b c d"], ["a b c d"])["bleu"] > 99)
from tensorflow.keras import layers
import pandas, pyglove, tensorflow_text
print(layers.Layer is tf.keras.layers.Layer, pandas.DataFrame, pyglove.List)
print(tensorflow_text.SentencepieceTokenizer, tensorflow_text.keras.layers.ToDense)
"""


@pytest.mark.long
def test_a_process_imports_what_it_does_not_use_when_it_uses_it():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["False False False", "{'_LazyModule'}"]
    assert lines[2:4] == ["True", "True"]
    assert lines[4].startswith("True <class 'pandas.")
    assert len(lines) == 6
