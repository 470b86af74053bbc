"""Templates: soft tokens and masks anywhere in a text, and what is cut first."""

from pathlib import Path

import numpy as np
import pytest

from jaxprompt.bundled import resolve
from jaxprompt.data.read.files import Row
from jaxprompt.data.read.template import Template
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.requests import request_rows
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

ROW = {"h": "the film soars", "p": "a kettle sings on the stove and nobody minds"}
SOFT = np.arange(9000, 9003, dtype=np.int32)


@pytest.fixture(scope="module", params=[False, True], ids=["encoder", "decoder"])
def nano(request):
    path = Path(resolve("bundled:nano")) / "spiece.model"
    return load_vocabulary(path, causal=request.param)


def batch_of(vocabulary, inputs, soft_ids=SOFT, length=40, cut=()):
    """Lays one row out, as to be predicted."""
    task = file_task(
        "own", files={}, inputs=inputs, target="a", vocabulary=vocabulary, cut=cut
    )
    rows = {0: Row("here:1", ROW)}
    return request_rows(task, rows, Lengths(length, 4), soft_ids).batch


def ids_of(vocabulary, inputs, soft_ids=SOFT, length=40, cut=()):
    """Returns what is read of a row: of a decoder the last token is the target's."""
    batch = batch_of(vocabulary, inputs, soft_ids, length, cut)
    ids = batch.inputs[0][batch.input_segments[0] > 0].tolist()
    if vocabulary.causal:
        return [*batch.lead, *ids, int(batch.target_inputs[0, 0])]
    assert ids[-1] == vocabulary.eos_id
    return ids[:-1]


@pytest.mark.parametrize("space", ["", " ", "  "])
def test_slots_that_lead_are_the_rows_without_a_template(nano, space):
    plain = batch_of(nano, "film: {h}")
    leading = batch_of(nano, "{slots:2}" + space + "{slots:1}" + space + "film: {h}")
    for name, expected in vars(plain).items():
        np.testing.assert_array_equal(getattr(leading, name), expected)
    short = ids_of(nano, "{slots:3} film: {h} {p}", length=6)
    assert short == ids_of(nano, "film: {h} {p}", length=6)


def test_soft_tokens_stand_where_the_template_has_them(nano):
    found = ids_of(nano, "{slots:1} film: {h} {slots:2} premise: {p}")
    first = nano.encode("film: the film soars ")
    second = nano.encode(f" premise: {ROW['p']}")
    assert found == [9000, *first, 9001, 9002, *second]
    last = ids_of(nano, "{p} {slots:3}")
    assert last == [*nano.encode(f"{ROW['p']} "), 9000, 9001, 9002]
    # Without a prompt nothing stands there; a prompt of another length has no place.
    alone = ids_of(nano, "{slots:1} film: {h} {slots:2} premise: {p}", SOFT[:0])
    assert alone == [*first, *second]
    with pytest.raises(ValueError, match="places for 3 soft tokens, but 2 stand in"):
        ids_of(nano, "{h} {slots:3}", SOFT[:2])


def test_fields_are_cut_in_their_order_and_nothing_else_is(nano):
    whole = ids_of(nano, "{slots:1} film: {h} {slots:2} premise: {p}")
    words = nano.encode(f" premise: {ROW['p']}")
    text = len(whole) - 3
    # The end-of-sequence counts too.
    room = text - 2 + (not nano.causal)

    def kept(length, **options):
        template = "{slots:1} film: {h} {slots:2} premise: {p}"
        return ids_of(nano, template, length=length, **options)

    # The last field first, unless the order is given.
    assert kept(room) == whole[:-2]
    assert kept(room, cut=["p"]) == whole[:-2]
    heads = len(nano.encode("film: the film soars"))
    first = kept(room, cut=["h", "p"])
    assert first == [*whole[: 1 + heads - 2], *whole[1 + heads :]]
    # What is not named is cut from the end of the text when nothing else is left.
    field = heads - len(nano.encode("film: "))
    least = kept(text - field - 3 + (not nano.causal), cut=["h"])
    assert [number for number in least if number >= 9000] == SOFT.tolist()
    assert len(least) == text - field - 3 + 3
    assert least[-1] == words[-1] or not nano.causal
    # An order alone, with the soft tokens in front.
    plain = ids_of(nano, "film: {h} premise: {p}")
    room = len(plain) - 3 - 2 + (not nano.causal)
    short = ids_of(nano, "film: {h} premise: {p}", cut=["h"], length=room)
    assert short == [*plain[: 3 + heads - 2], *plain[3 + heads :]]


def test_a_mask_is_never_cut_with_a_text_that_it_ends(nano):
    template = "{h} {p} ? It was {mask:1}"
    whole = ids_of(nano, template)
    short = ids_of(nano, template, length=len(whole) - 3 - 4)
    # Three soft tokens, then what is left of the text, and all that stands behind it.
    end = nano.encode(" ? It was" if nano.causal else " ? It was <extra_id_0>")
    assert len(short) < len(whole) - 3
    assert short[-len(end) :] == whole[-len(end) :] == end


def test_fields_of_one_place_are_cut_in_proportion(nano):
    words = {name: nano.encode(text) for name, text in ROW.items()}
    template, cut = "{h} {mask} {p}", ["h+p"]
    row = Row("here:1", {**ROW, "mask": "or"})
    task = file_task(
        "own", files={}, inputs=template, target="a", vocabulary=nano, cut=cut
    )

    def kept(length):
        rows = request_rows(task, {0: row}, Lengths(length, 4), SOFT[:0]).batch
        ids = rows.inputs[0][rows.input_segments[0] > 0].tolist()
        ids = [*ids, int(rows.target_inputs[0, 0])] if nano.causal else ids[:-1]
        middle = ids.index(nano.encode("or")[0])
        assert ids[:middle] == words["h"][:middle]
        return middle, len(ids) - middle - 1

    whole = kept(40)
    assert whole == (len(words["h"]), len(words["p"]))
    end = 0 if nano.causal else 1
    for room in range(4, sum(whole)):
        first, second = kept(room + 1 + end)
        assert first + second == room
        assert abs(first - room * whole[0] / sum(whole)) < 1


def test_a_mask_is_the_vocabularys_own():
    path = Path(resolve("bundled:nano")) / "spiece.model"
    nano = load_vocabulary(path)
    found = ids_of(nano, "{h} . It was {mask:1} .")
    sentinel = nano.encode("<extra_id_0>")
    assert len(sentinel) == 1
    assert found == [*SOFT, *nano.encode("the film soars . It was <extra_id_0> .")]
    assert sentinel[0] in found
    with pytest.raises(
        ValueError, match="has a mask, but the model's vocabulary has n"
    ):
        ids_of(load_vocabulary(path, extra_ids=0), "{h} {mask:1}")


def test_what_a_template_says_of_itself():
    template = Template("{slots:5} {slots:3}{h} {{}} {slots:2} {p}{h}")
    assert (template.soft_slots, template.leading_slots) == (10, 8)
    assert (template.fields, template.is_behind_slots) == (("h", "p"), False)
    assert template.fill(Row("here:1", {"h": "a", "p": "b"})) == "a {}  ba"
    plain = Template("{h} {mask} {slots}")
    assert (plain.fields, plain.soft_slots) == (("h", "mask", "slots"), 0)
    assert plain.is_plain


@pytest.mark.parametrize(
    ("text", "cut", "message"),
    [
        ("{h", (), r"template '\{h': .* write \{field\}"),
        ("{h:3}", (), r"\{mask:1\}, \{sep:1\} or \{bos:1\}: write"),
        ("{slots:0}", (), "braces hold a field's name"),
        ("{slots:-1}", (), "braces hold a field's name"),
        ("{slots:3!r}", (), "braces hold a field's name"),
        ("{}", (), "braces hold a field's name"),
        (
            "{h}",
            ["p"],
            "the order of truncation is p, but template .* has the fields h",
        ),
        ("{h}", ["h", "h"], "the order of truncation is h, h, but .* each once"),
    ],
)
def test_what_is_no_template_is_refused(text, cut, message):
    with pytest.raises(ValueError, match=message):
        Template(text, cut)


def test_a_target_has_no_soft_tokens(nano):
    with pytest.raises(ValueError, match=r"'\{slots:1\}' of a target has soft tokens"):
        file_task("own", files={}, inputs="{h}", target="{slots:1}", vocabulary=nano)


def test_packed_rows_hold_the_soft_tokens_of_each_example(nano):
    task = file_task(
        "own", files={}, inputs="{h} {slots:3}.", target="a", vocabulary=nano
    )
    examples = task.write([task.read_request(Row("here:1", ROW), 0)] * 4)
    layout = layout_of(task, Lengths(30, 8), SOFT)
    rows = layout.rows([*layout.packed(task.encode(examples))])
    assert (rows.inputs == 9001).sum() == 4


def test_the_words_of_a_template_are_those_of_its_own_text():
    template = Template("question: {question}\nin short, a question {slots:3} of {x}")
    assert template.words == ("question", "in", "short", "of")


@pytest.mark.parametrize("text", ["a", "[MASK] a", "a [MASK] [MASK]", "b a b a b"])
@pytest.mark.parametrize("inputs", ["{text} {mask:1}", "b {mask:1} {text}"])
def test_a_mask_that_a_text_names_is_not_the_templates(tmp_path, inputs, text):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    (tmp_path / "vocab.txt").write_text("".join(word + "\n" for word in words))
    vocabulary = load_vocabulary(str(tmp_path / "vocab.txt"), encoder_only=True)
    task = file_task(
        "own",
        files={},
        inputs=inputs,
        target="label",
        labels={"0": "a", "1": "b"},
        vocabulary=vocabulary,
    ).put_to("mask")
    (example,) = task.write([task.read_request(Row("here:1", {"text": text}), 0)])
    (pair,) = task.encode([example._replace(targets="")])
    (place,) = pair.places
    assert words[pair.inputs[place]] == "[MASK]"
    # [CLS] and the words in front of the template's own mask.
    before = text.split() if inputs.startswith("{text}") else ["b"]
    assert place == 1 + len(before)
