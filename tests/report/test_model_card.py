"""A model card says how a model was made, in the form that the Hub reads."""

from typing import Any

import yaml

from jaxprompt.report.pages.model_card import PICTURE, model_card

RESULT = {
    "parameters": 1_234_567,
    "steps": 20_000,
    "seconds": 5400.5,
    "objectives": {
        "span_corruption": {
            "loss": 3.25,
            "other_input_loss": 5.5,
            "unigram_entropy": 6.5,
        },
        "prefix_lm": {
            "loss": 5.0,
            "other_input_loss": 5.03125,
            "unigram_entropy": 6.75,
        },
    },
    "text": {"a & b.txt": "ab" * 32, "c|d.txt": "cd" * 32},
}


def card(**changes: Any) -> str:
    parts = {
        "name": "t5-small-novels",
        "architecture": {"width": 128, "heads": 4},
        "seed": 3,
        "config": "STEPS = 20000\nRun.seed = 3\n",
        "family": "T5",
        "model_type": "t5",
        "model_class": "T5ForConditionalGeneration",
        "causal": False,
        **changes,
    }
    return model_card(parts.pop("result", RESULT), **parts)


def test_the_header_is_what_the_hub_reads():
    text = card(license="apache-2.0", languages=["en"])
    empty, header, body = text.split("---\n", 2)
    assert empty == ""
    assert yaml.safe_load(header) == {
        "license": "apache-2.0",
        "language": ["en"],
        "library_name": "transformers",
        "pipeline_tag": "text2text-generation",
        "tags": ["t5", "jax", "jaxprompt", "prompt-tuning"],
    }
    assert body.startswith("\n# t5-small-novels\n")
    silent = yaml.safe_load(card().split("---\n")[1])
    assert silent["license"] == "unknown"
    assert "language" not in silent


def test_losses_stand_with_both_encoder_inputs_and_the_unigram_loss():
    lines = card().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert ["span corruption", "3.250", "5.500", "6.500"] in cells
    assert ["prefix lm", "5.000", "5.031", "6.750"] in cells
    assert f"]({PICTURE})" in card()


def test_recipe_seed_and_data_are_told():
    text = card()
    assert "1,234,567 parameters" in text
    assert "20,000 steps in 5,400 seconds, seed 3" in text
    assert "on 2 text files, starting from new weights" in text
    assert "```gin\nSTEPS = 20000\nRun.seed = 3\n```" in text
    assert f"| a & b.txt | {'ab' * 32} |" in text
    assert f"| c\\|d.txt  | {'cd' * 32} |" in text
    assert text.index("<details>") < text.index("a & b.txt") < text.index("</details>")
    assert "starting from the weights of other" in card(start="other")


def test_a_gpt2_is_not_called_a_t5():
    names = {"model_type": "gpt2", "model_class": "GPT2LMHeadModel"}
    text = card(family="GPT-2", causal=True, **names)
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["pipeline_tag"] == "text-generation"
    assert header["tags"][0] == "gpt2"
    assert "A GPT-2 with 1,234,567 parameters" in text
    assert "T5" not in text
    assert "encoder" not in text


def test_equal_runs_have_equal_cards():
    assert card() == card()
