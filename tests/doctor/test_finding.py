"""Findings are laid out for people: the verdict first, the sentence below."""

from jaxprompt.doctor.finding import Finding, lay_out, skipped


def test_every_finding_has_its_verdict_number_and_sentence():
    says = "A long sentence that says what is wrong and what to do about it. " * 3
    found = [
        Finding("padding", "wrong", 0.12345, says),
        Finding("majority", "ok", -2.0, "Fine."),
        skipped("collapse", "No prompt."),
    ]
    lines = lay_out(found).splitlines()
    assert lines[0] == "wrong    padding: 0.123"
    assert " ".join(line.strip() for line in lines[1:4]) == says.strip()
    assert max(map(len, lines)) <= 88
    assert "ok       majority: -2" in lines
    assert "skipped  collapse" in lines
    assert lines[-1] == "1 wrong, 1 ok, 1 skipped"
