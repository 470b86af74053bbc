"""Tables read well in a terminal, whatever their cells hold."""

from jaxprompt.report.text.table import table


def test_text_stands_left_and_numbers_right_with_one_decimal():
    rows = [["sst2", 95.0666, 3], ["boolq", None, 12]]
    assert table(["task", "score", "steps"], rows).splitlines() == [
        "| task  | score | steps |",
        "| ----- | ----: | ----: |",
        "| sst2  |  95.1 |     3 |",
        "| boolq |     - |    12 |",
    ]


def test_a_cell_stays_one_cell():
    assert table(["a|b"[:1]], [["x|y"], ["two\nlines"]]).splitlines() == [
        "| a          |",
        "| ---------- |",
        "| x\\|y       |",
        "| two\\nlines |",
    ]


def test_a_header_alone():
    assert table(["a", "bc"], []) == "| a | bc |\n| - | -- |"
