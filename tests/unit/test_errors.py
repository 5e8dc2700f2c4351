"""What the error families tell the command line and the reader."""

import pickle
import re
from pathlib import Path

import pytest

from tidemark import errors

FAMILIES = [
    (errors.ConfigError, 2),
    (errors.TransientError, 3),
    (errors.ContractError, 4),
    (errors.DataError, 5),
    (errors.StateError, 6),
    (errors.OvertakenError, 6),
]


@pytest.mark.parametrize(("family", "exit_code"), FAMILIES)
def test_each_family_has_its_exit_code(family: type[errors.TidemarkError], exit_code: int) -> None:
    assert family.exit_code == exit_code
    assert issubclass(family, errors.TidemarkError)


def test_every_error_belongs_to_a_family() -> None:
    named = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}

    assert named == {family for family, _ in FAMILIES} | {errors.TidemarkError}


def test_an_overtaken_run_is_a_state_error() -> None:
    assert issubclass(errors.OvertakenError, errors.StateError)


def test_facts_are_attributes() -> None:
    error = errors.DataError("a row has no parent", table="sales_order", key=17)

    assert error.table == "sales_order"
    assert error.facts == {"table": "sales_order", "key": 17}


def test_an_unknown_fact_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'DataError' has no attribute 'batch'"):
        _ = errors.DataError("a row has no parent", table="sales_order").batch


def test_advice_stands_behind_the_message() -> None:
    error = errors.TransientError("the source is away", advice="run it again")

    assert str(error) == "the source is away: run it again"
    assert error.message == "the source is away"
    assert str(errors.TransientError("the source is away")) == "the source is away"


def test_a_config_error_names_every_problem() -> None:
    error = errors.ConfigError.of(["one is missing", "two is wrong"])

    assert error.problems == ("one is missing", "two is wrong")
    assert str(error) == "2 problems:\none is missing\ntwo is wrong"


def test_a_single_problem_is_the_message() -> None:
    assert str(errors.ConfigError.of(["one is missing"])) == "one is missing"
    assert errors.ConfigError("one is missing").problems == ("one is missing",)


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(errors.ConfigError("a, b", problems=["a", "b"], advice="set both", place="here")))  # noqa: S301

    assert (error.problems, error.advice, error.place) == (("a", "b"), "set both", "here")


def test_every_rebuild_that_a_message_names_can_be_typed() -> None:
    places = r"(?:latest|star|warehouse)\b"
    texts = {path: path.read_text("utf-8") for path in Path(errors.__file__).parent.rglob("*.py")}

    joined = re.compile(rf"tidemark rebuild {places}(?:,| and| or) {places}")
    assert [(path.name, found[0]) for path, text in texts.items() for found in joined.finditer(text)] == []
