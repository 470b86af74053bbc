"""seqio's converters to model features: encoder-decoder, and decoder-only."""

from collections.abc import Mapping
from typing import Any

from jaxprompt.data.libraries import seqio, tf

Features = dict[str, tf.Tensor]


def make_converter(*, causal: bool, pack: bool = False) -> seqio.FeatureConverter:
    """Makes the converter of a model's kind.

    Args:
        causal: Whether the model has a decoder only.
        pack: Whether a row may hold several examples.
    """
    kind = CausalFeatureConverter if causal else seqio.EncDecFeatureConverter
    return kind(pack=pack)


class CausalFeatureConverter(seqio.EncDecFeatureConverter):
    """The same features for a decoder alone: what stands before a token predicts it.

    A decoder-only model has no start token: the first target is predicted by the last
    input token, of which every example needs one. It moves to the front of
    "decoder_input_tokens" and leaves padding behind.
    """

    def _convert_features(
        self, ds: tf.data.Dataset, task_feature_lengths: Mapping[str, int]
    ) -> tf.data.Dataset:
        converted: Any = super()._convert_features(ds, task_feature_lengths)
        return converted.map(self._shift, num_parallel_calls=tf.data.AUTOTUNE)

    def _shift(self, features: Features) -> Features:
        inputs, targets = "encoder_input_tokens", "decoder_input_tokens"
        tokens = features[inputs]
        # Without packing a row is one example, and id 0 is padding.
        segments = features.get("encoder_segment_ids")
        if segments is None:
            segments = tf.cast(tokens != 0, tf.int32)
        of_targets = features.get("decoder_segment_ids")
        if of_targets is None:
            of_targets = tf.cast(features["decoder_target_tokens"] != 0, tf.int32)

        is_last = (segments > 0) & (segments != tf.concat([segments[1:], [0]], 0))
        is_first = (of_targets > 0) & (
            of_targets != tf.concat([[0], of_targets[:-1]], 0)
        )
        # Segment -> its last input token.
        count = tf.reduce_max(tf.concat([segments, of_targets], 0)) + 1
        last = tf.scatter_nd(
            segments[is_last][:, tf.newaxis], tokens[is_last], count[tf.newaxis]
        )
        start = tf.gather(last, of_targets)
        shifted = {
            **features,
            inputs: tf.where(is_last, 0, tokens),
            targets: tf.where(is_first, start, features[targets]),
        }
        if "encoder_segment_ids" in features:
            shifted["encoder_segment_ids"] = tf.where(is_last, 0, segments)
        return shifted
