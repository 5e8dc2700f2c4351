"""A model that `tidemark model new` made of a catalogue passes `model check`, runs, follows changes, and verifies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tidemark.cli import run

MODELS = Path(__file__).parents[1] / "models"
Made = tuple[Rig, dict[str, Any]]
MakeModel = Callable[[str], Made]


@pytest.fixture
def make_model(
    postgres: Postgres,
    new_database: Callable[..., str],
    new_rig: Callable[..., Rig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> MakeModel:
    """Make a source of a file, a model of the source, and a pipeline of both, which has run once."""

    def make(file: str) -> Made:
        def build(url: str) -> None:
            with psycopg.connect(url) as connection:
                connection.execute((MODELS / file).read_bytes())

        template = postgres.template(file, build)
        code = run(["model", "new", str(tmp_path / "model"), "--source-url", new_database(template), "--json"])
        said = json.loads(capsys.readouterr().out)
        assert (code, said["problems"]) == (0, [])
        rig = new_rig(template, model=str(tmp_path / "model"))
        rig.run()
        return rig, said

    return make


def is_whole(rig: Rig) -> bool:
    """Say whether nothing was set aside, and all places hold the same."""
    quarantined = [name for name in rig.objects() if "/quarantine/" in name]
    return (quarantined, unproven(verify(rig))) == ([], set())


@pytest.mark.exhaustive
def test_a_database_without_timestamps_and_with_text_and_composite_keys_becomes_a_star(make_model: MakeModel) -> None:
    rig, said = make_model("grocer/schema.sql")

    assert said["facts"] == ["fact_buyer_trait", "fact_purchase", "fact_purchase_line"]
    rig.change((MODELS / "grocer" / "activity.sql").read_text("utf-8"))
    rig.run()
    assert is_whole(rig)
    assert rig.warehouse("select freight, shipped_on::text from fact_purchase_current where purchase_no = 11") == [
        (12.0, "2024-07-20")
    ]
    assert rig.warehouse("select quantity, is_deleted from fact_purchase_line where purchase_no = 11 order by 2") == [
        (9, False),
        (9, True),
    ]
    assert rig.warehouse("select photo from dim_clerk order by clerk_no") == [("\\x01",), (None,)]
    assert rig.warehouse("select buyer_code, trait_code from fact_buyer_trait_current") == [("ALFKI", "old")]


def test_a_database_of_enums_arrays_and_partitions_becomes_a_star(make_model: MakeModel) -> None:
    rig, said = make_model("cinema/schema.sql")

    assert said["facts"] == ["fact_film_actor", "fact_payment", "fact_rental"]
    assert [each["table"] for each in said["left_out"]] == ["public.film_list", "public.takings"]
    rig.change((MODELS / "cinema" / "activity.sql").read_text("utf-8"))
    rig.run()
    assert is_whole(rig)
    assert rig.warehouse("select rating, special_features, release_year from dim_film where film_id = 1") == [
        ("G", '{Trailers,"Deleted, Scenes",Commentary}', 2006)
    ]
    assert rig.warehouse("select amount::text, payment_day::text from fact_payment_current order by 1") == [
        ("1.99", "2024-02-01"),
        ("4.99", "2024-02-14"),
    ]
    assert rig.warehouse("select count(*) from dim_date") == [(366 + 365,)]


@pytest.mark.exhaustive
def test_any_name_and_any_type_of_key_becomes_a_star(make_model: MakeModel) -> None:
    rig, said = make_model("oddities.sql")

    assert {each["table"] for each in said["left_out"]} == {
        "public.calendar",
        "public.case",
        "public.child",
        "public.no_key",
        "public.reserved",
        "public.twice",
        'public.Odd "Table/',
        "public.two\nlines",
    }
    rig.change(
        """update "Sales Dept"."Order" set "it's ""quoted"", 100% {x}" = 9, "order" = null""",
        """update "таблица" set "列" = 2""",
        "delete from old_link",
    )
    rig.run()
    assert is_whole(rig)
    assert rig.warehouse('select it_s_quoted_100_x, "order", source_batch_id from fact_order_current order by 3') == [
        (9, None, 7),
        (9, None, None),
    ]
    assert rig.warehouse('table "dim_таблица"') == [("значение", 2)]
