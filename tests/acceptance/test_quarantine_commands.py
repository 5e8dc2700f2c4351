"""`tidemark quarantine` and `tidemark status`: what they say of the rows in quarantine."""

import json
import re
from typing import Any

import pytest

from tests.support.quarantine import Story
from tidemark.cli import run as tidemark


def places(story: Story) -> list[str]:
    lake = story.folder / "lake"
    return [
        *("--ingestion", str(lake / "ingestion"), "--processed", str(lake / "processed")),
        *("--pointer", str(lake / "pointer.json"), "--model", str(story.folder / "mended")),
    ]


def document(story: Story, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:  # noqa: ANN401 -- JSON
    assert tidemark([*arguments, "--json", *places(story)]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_counts_by_table_and_reason(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    (heap,) = document(story, capsys, "quarantine", "list")["tables"]

    assert (heap["table"], heap["rows"], heap["waiting"], heap["oldest_batch"]) == ("fact_sales_order", 15, 0, 1)
    assert heap["reasons"]["agreed_delivery_date is …, which is no DATE"] == 5
    assert tidemark(["quarantine", "list", *places(story)]) == 0
    assert "5  agreed_delivery_date is …, which is no DATE" in capsys.readouterr().out


def test_show_gives_reason_values_and_what_to_do(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = document(story, capsys, "quarantine", "show", "fact_sales_order", "--batch", "1")["rows"]

    assert (row["key"], row["batch"], row["ordinal"]) == ({"sales_order_id": 22}, 1, 22)
    assert row["row"]["agreed_delivery_date"] == "soon"
    assert "correct it in the source" in row["mend"][0]
    assert tidemark(["quarantine", "show", "--ordinal", "22", *places(story)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"fact_sales_order 22\n +key +sales_order_id 22\n +reason +agreed_delivery_date is 'soon'", shown)
    assert "tidemark quarantine replay fact_sales_order" in shown
    assert tidemark(["quarantine", "show", "dim_staff", *places(story)]) == 0
    assert "no such rows" in capsys.readouterr().out


def test_a_wrong_call_is_a_config_error(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert tidemark(["quarantine", "list", "--batch", "1", *places(story)]) == 2
    assert tidemark(["quarantine", "show", "fact_nothing", *places(story)]) == 2
    capsys.readouterr()


def test_status_counts_what_lies_in_quarantine(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(story, capsys, "status")["quarantine"] == {"fact_sales_order": 15}
    assert tidemark(["status", *places(story)]) == 0
    assert "15 rows set aside (fact_sales_order 15): see tidemark quarantine list" in capsys.readouterr().out
