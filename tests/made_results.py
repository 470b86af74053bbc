"""Hand-made contents of result.json files."""

from typing import Any


def made_member(task: str = "rte", seed: int = 0, score: float = 60.0, **more: Any):
    """What a run tells of one prompt; `more` changes it."""
    return {
        "task": task,
        "split": "validation",
        "examples": 277,
        "metric": "f1+accuracy",
        "score": score,
        "majority": 50.0,
        "untuned": 12.5,
        "illegal": 0.02,
        "untuned_illegal": 0.8,
        "metrics": {"f1": score - 1.0, "accuracy": score + 1.0},
        "backbone": "t5-small",
        "seed": seed,
        "steps": 300,
        "file": f"prompts/{task}-{seed}.safetensors",
        **more,
    }


def made_loss(**more: Any) -> dict[str, Any]:
    """What a run tells that is measured by its loss; `more` changes it."""
    losses = {"loss": 2.5, "other_input_loss": 3.0, "unigram_entropy": 6.5}
    losses["accuracy"] = 0.5
    return {
        "task": "text",
        "split": "validation",
        "examples": 10,
        "metric": "loss",
        "score": -2.5,
        **losses,
        "objectives": {"prefix_lm": {"rate": 1.0, **losses}},
        "backbone": "t5-small",
        "seed": 0,
        **more,
    }


def made_vocabulary(**more: Any) -> dict[str, Any]:
    """What a run tells that trains a vocabulary; `more` changes it."""
    return {
        "trains": "vocabulary",
        "task": "text",
        "pieces": 1000,
        "sentinels": 100,
        "tokens_per_word": 1.5,
        "unknown": 0.001,
        "seconds": 2.5,
        **more,
    }


def made_result(*members: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The result of a run: flat with one member; with several their vote too."""
    whole = {"trains": "prompt", "backbone": members[0]["backbone"], "seconds": 90.5}
    if len(members) == 1:
        return {**members[0], **whole, **more}
    votes = []
    for task in dict.fromkeys(member["task"] for member in members):
        scores = [member["score"] for member in members if member["task"] == task]
        vote = {
            "average": sum(scores) / len(scores),
            "best": max(scores),
            "vote": max(scores) + 0.5,
        }
        if len(scores) > 1:
            names = {"task": task, "metric": "f1+accuracy", "members": len(scores)}
            votes.append({**names, **vote, "metrics": {}})
    first = {name: members[0][name] for name in ("task", "split", "metric")}
    means = {"score": 60.0, "majority": 50.0, "untuned": 12.5}
    head = {**first, **means, "steps": 300, **whole}
    return {**head, "members": list(members), "votes": votes, **more}
