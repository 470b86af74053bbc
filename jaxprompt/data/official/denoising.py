"""Token ids -> denoising examples, by t5's own functions."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxprompt.data.official.libraries import seqio, tf
from jaxprompt.data.official.libraries import t5_preprocessors as t5
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

_HIGH_DENSITY, _HIGH_MEAN_SPAN = 0.5, 6.0
"""Of "high_corruption". Source: Raffel et al. 2020, tables 6 and 7 (arXiv:1910.10683)
try 50 %, and longer spans; both make the decoder look at what is left of the input."""


def denoised(
    drawn: Iterable[tuple[int, np.ndarray, Sequence[int], Sequence[int]]],
    objectives: Sequence[str],
    vocabulary: Vocabulary,
    *,
    noise_density: float,
    mean_span: float,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Makes the inputs and targets of drawn examples.

    Args:
        drawn: (branch, seed int32 [2], input ids, target ids) of each, without
            end-of-sequence: those of branch 0 are the example, and of branch b the
            target is denoised by the objective b - 1.
        objectives: Names out of `data.pretraining.passages.DENOISING`.
        vocabulary: The backbone's vocabulary, whose last ids are the sentinels.
        noise_density: Share of tokens that "span_corruption" masks.
        mean_span: Mean length of its spans, in tokens.

    Yields:
        int32 (input ids, target ids) of each, in order, without end-of-sequence.
    """
    of_branch = _branches(objectives, vocabulary, noise_density, mean_span)
    int32 = functools.partial(tf.TensorSpec, dtype=tf.int32)
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(drawn),
        output_signature=(int32([]), int32([2]), int32([None]), int32([None])),
    )
    dataset = dataset.map(of_branch, num_parallel_calls=tf.data.AUTOTUNE)
    made: Any = dataset.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()
    yield from made


def _branches(
    objectives: Sequence[str],
    vocabulary: Vocabulary,
    noise_density: float,
    mean_span: float,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Makes the step from a drawn example to its inputs and targets."""
    denoisers = {
        "span_corruption": _spans(noise_density, mean_span),
        "high_corruption": _spans(_HIGH_DENSITY, _HIGH_MEAN_SPAN),
        "prefix_lm": _denoiser(
            0.5,  # t5's way to say: a prefix of any length.
            mask=t5.random_prefix_noise_mask,
            inputs=t5.drop_nonnoise_tokens,
            targets=t5.drop_noise_tokens,
        ),
        "deshuffle": _denoiser(
            1.0,
            mask=lambda length, noise_density, seeds: tf.ones(length, tf.bool),
            inputs=t5.permute_noise_tokens,
        ),
    }
    # What t5 asks a vocabulary is where the sentinels are: they are its last ids.
    size = seqio.PassThroughVocabulary(vocabulary.vocab_size, eos_id=vocabulary.eos_id)
    output_features = {"targets": seqio.Feature(size)}

    def of_branch(
        branch: tf.Tensor, seed: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        def noised(name: str) -> tuple[tf.Tensor, tf.Tensor]:
            tokens = {"targets": targets}
            out: Mapping[str, tf.Tensor] = denoisers[name](
                tokens, seed, output_features=output_features
            )
            return out["inputs"], out["targets"]

        branches = [lambda: (inputs, targets)]
        branches += [functools.partial(noised, name) for name in objectives]
        made_inputs, made_targets = tf.switch_case(branch, branches)
        made_inputs.set_shape([None])
        made_targets.set_shape([None])
        return made_inputs, made_targets

    return of_branch


def _spans(density: float, mean_span: float) -> Callable[..., Any]:
    mask = functools.partial(
        t5.random_spans_noise_mask, mean_noise_span_length=mean_span
    )
    return _denoiser(
        density,
        mask=mask,
        inputs=t5.noise_span_to_unique_sentinel,
        targets=t5.nonnoise_span_to_unique_sentinel,
    )


def _denoiser(
    density: float, *, mask: Any, inputs: Any, targets: Any = None
) -> Callable[..., Any]:
    """Binds t5's denoising; without `targets` these are the tokens as they were."""
    return functools.partial(
        t5.single_example_denoise,
        noise_density=density,
        noise_mask_fn=mask,
        inputs_fn=inputs,
        targets_fn=targets,
    )
