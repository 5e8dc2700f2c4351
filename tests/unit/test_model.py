"""Reading a model directory, and what is said of one that does not fit together."""

import shutil
from pathlib import Path

import pytest

from tests.support.small_source import write_model
from tidemark.errors import ConfigError
from tidemark.model_reader import find_model, load_model, shipped_models


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the model of totesys whose files a test may change."""
    return Path(shutil.copytree(find_model("totesys"), tmp_path / "totesys"))


def problems_of(directory: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_model(str(directory))
    return caught.value.problems


def edit(directory: Path, before: str, after: str) -> None:
    path = directory / "model.toml"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), "utf-8")


def test_totesys_ships() -> None:
    assert "totesys" in shipped_models()
    model = load_model("totesys")
    assert {"sales_order", "payment"} <= model.sources.keys()
    assert {fact.driving for fact in model.facts} <= model.sources.keys()
    assert [star.kind for star in model.dimensions].count("calendar") == 1


def test_a_model_is_found_by_its_directory(copied: Path) -> None:
    assert load_model(str(copied)).stars.keys() == load_model("totesys").stars.keys()


def test_an_unknown_model_is_named_with_those_that_ship() -> None:
    with pytest.raises(ConfigError, match=r"no model 'nowhere'.*totesys"):
        load_model("nowhere")


def test_every_problem_is_named_at_once(copied: Path) -> None:
    edit(copied, 'timezone = "UTC"', 'timezone = "Mars/Olympus"')
    edit(copied, 'driving = "sales_order"', 'driving = "orders"')
    (copied / "dimension" / "staff.sql").unlink()
    found = "\n".join(problems_of(copied))
    assert "Mars/Olympus" in found
    assert "driving is 'orders'" in found
    assert "no dimension/staff.sql" in found


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('key = ["address_id"]', 'key = "address_id"', "expected a list of names"),
        ('key = ["address_id"]', 'key = ["address_id"]\nsweep = "often"', 'expected "rows" or "keys"'),
        ('key = ["address_id"]', 'key = ["address_id"]\nsweep_every = 0', "expected a number of polls"),
        ('key = ["address_id"]', 'key = ["address_id"]\ncolour = "red"', "unknown 'colour'"),
        ('kind = "fact"', 'kind = "fable"', "kind is 'fable'"),
        ('design_id = "dim_design"', 'design_id = "dim_nothing"', "references 'dim_nothing'"),
        ('reads = ["address"]', 'reads = ["adress"]', "reads 'adress'"),
        ('source_key = ["sales_order_id"]', 'source_key = ["a", "b"]', "does not match"),
        ('reads = ["address"]', 'reads = ["address"]\nhistory = "yes"', "history is 'yes': expected true or false"),
        ('reads = ["address"]', 'reads = ["address"]\nhistory = true\nsoft_delete = true', "expected one of them"),
        ('reads = ["address"]', 'reads = ["address"]\nhistory = true\ndriving = "staff"', "driving is 'staff'"),
        ('kind = "fact"', 'kind = "fact"\nsoft_delete = true', "only a dimension may have soft_delete"),
        ("[star.fact_payment]", f"[star.fact_{'x' * 50}]", "has 55 bytes: expected 54 or less"),
    ],
)
def test_a_mistake_is_named(copied: Path, before: str, after: str, problem: str) -> None:
    edit(copied, before, after)
    assert any(problem in found for found in problems_of(copied))


def test_a_dimension_with_history_has_a_key_for_each_version(copied: Path) -> None:
    edit(copied, 'reads = ["address"]', 'reads = ["address"]\nhistory = true\ndriving = "address"')
    location = load_model(str(copied)).stars["dim_location"]
    assert (location.key, location.source_key) == (("location_record_id",), ("location_id",))
    assert location.driving == "address"


def test_names_that_are_one_for_the_engine_are_named(copied: Path) -> None:
    # A view of the engine would take the place of the other, and a SELECT would read the wrong table.
    with (copied / "model.toml").open("a", encoding="utf-8") as file:
        file.write('[source.Address]\nkey = ["id"]\n[source.Calendar]\nkey = ["id"]\n[source."\u00c4"]\nkey = ["id"]\n')
        file.write(
            '[source."\u00e4"]\nkey = ["id"]\n[star.dim_Staff]\nkind = "dimension"\nkey = ["id"]\nreads = ["\u00e4"]\n'
        )
    (copied / "dimension" / "Staff.sql").write_text("select 1 as id")
    (copied / "seed" / "STAFF.csv").write_text("a\n")
    assert [problem.partition(": ")[2].partition(", ")[0] for problem in problems_of(copied)] == [
        "[star.dim_staff] and [star.dim_Staff] have the same name after their prefix",
        "[source.address] and [source.Address] are one table for the engine",
        "[source.staff] and seed/STAFF.csv are one table for the engine",
        "[source.Calendar] and the calendar's days are one table for the engine",
    ]


def test_broken_toml_is_a_config_error(copied: Path) -> None:
    (copied / "model.toml").write_text("name = ", "utf-8")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_model(str(copied))


def test_the_hash_follows_what_decides_the_stars_rows_and_nothing_else(copied: Path) -> None:
    before = load_model(str(copied)).hash
    (copied / "notes.txt").write_text("nothing", "utf-8")
    assert load_model(str(copied)).hash == before
    with (copied / "fact" / "payment.sql").open("a", encoding="utf-8") as file:
        file.write("-- changed\n")
    assert load_model(str(copied)).hash != before


def test_a_table_without_updated_is_always_swept_whole(copied: Path) -> None:
    edit(copied, 'updated = "last_updated"', 'sweep = "keys"\nsweep_every = 5')
    table = load_model(str(copied)).sources["address"]
    assert (table.sweep, table.sweep_every) == ("rows", 1)


def test_a_name_that_no_folder_can_have_is_named_with_what_to_write(tmp_path: Path) -> None:
    names = ["..", "a#b", "a\\\\b", "50%25", "shop", "shop/customer", "fine/name", "x/_delta_log"]
    sections = "".join(f'[source."{name}"]\nkey = ["id"]\n' for name in names)
    with pytest.raises(ConfigError) as caught:
        write_model(tmp_path / "model", sections)
    found = {problem.partition("[source.")[2].partition("]")[0]: problem for problem in caught.value.problems}
    assert list(found) == ["..", "a#b", "a\\b", "50%25", "shop/customer", "x/_delta_log"]
    assert "since it lies within that of [source.shop]: call it otherwise" in found["shop/customer"]
    assert found["a#b"].endswith("and write table = 'a#b' below it")
