"""The star as a picture."""

import json
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.library import LIBRARY
from tidemark.cli import run
from tidemark.model_reader import load_model
from tidemark.modelling.picture import as_mermaid, as_text

REPOSITORY = Path(__file__).parents[2]
TEXT = """\
library: 2 source tables, 1 fact, 1 dimension

fact_loan  (loan_record_id): a version for each change of loan (loan_id)
  └─ shelf_id  ──▶ dim_shelf

dim_shelf  (shelf_id)  ◀── shelf

source tables
  shelf  (shelf_id)  changed: changed
  loan  (loan_id)    changed: changed
"""
MERMAID = """\
erDiagram
    dim_shelf {
        key shelf_id PK
    }
    fact_loan {
        key loan_record_id PK
        source loan_id UK
        reference shelf_id FK
    }
    fact_loan }o--|| dim_shelf : "shelf_id"
"""


def test_a_star_is_drawn_as_text_and_as_a_diagram(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "show", str(LIBRARY)]) == 0
    assert capsys.readouterr().out == TEXT
    assert run(["model", "show", str(LIBRARY), "--mermaid"]) == 0
    assert capsys.readouterr().out == MERMAID
    assert run(["model", "show", str(LIBRARY), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"model": "library", "text": TEXT, "mermaid": MERMAID}
    assert run(["model", "check", str(LIBRARY), "--mermaid"]) == 2


def test_names_that_mermaid_does_not_take_are_written_otherwise() -> None:
    model = load_model(str(LIBRARY))
    odd = replace(model.stars["dim_shelf"], name='dim_"odd', key=("the key", "1st"))
    fact = replace(model.stars["fact_loan"], references={"shelf\nid": 'dim_"odd'})
    drawn = as_mermaid(replace(model, stars={'dim_"odd': odd, "fact_loan": fact}))

    assert 't0["dim_#quot;odd"] {\n        key the_key PK\n        key c1st PK\n' in drawn
    assert '    fact_loan }o--|| t0 : "shelf id"\n' in drawn
    assert "reference shelf_id FK" in drawn
    assert as_text(model) == TEXT


def test_the_pictures_of_stars_are_what_model_show_draws() -> None:
    (diagram,) = re.findall(
        r"^```mermaid\n(.*?)^```", (REPOSITORY / "docs/warehouse.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    picture = textwrap.indent(as_text(load_model(str(REPOSITORY / "tests/models/library"))), "    ")

    assert diagram == as_mermaid(load_model("totesys"))
    assert picture in (REPOSITORY / "docs" / "models.md").read_text("utf-8")
