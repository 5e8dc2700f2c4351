"""Every SQLSTATE of PostgreSQL has a family, or is one that only a mistake in Tidemark can cause."""

import psycopg
import pytest
from psycopg import errors

from tidemark.errors import ConfigError, DataError, TidemarkError, TransientError
from tidemark.postgres.connection import translated
from tidemark.postgres.sqlstates import FAMILIES, MISTAKES, family_of

# The classes of appendix A of PostgreSQL's manual, each by an error of it and the family that its reader needs.
CLASSES = {
    "08006": TransientError,  # the connection failed
    "09000": DataError,  # a trigger failed
    "0A000": ConfigError,  # a view uses the column whose type is to change
    "0F000": DataError,
    "0L000": ConfigError,
    "0P000": ConfigError,
    "0Z000": DataError,
    "10608": DataError,
    "20000": DataError,  # a function's CASE has no branch
    "21000": DataError,  # a view's subquery gives two rows
    "22012": DataError,  # a view divides by zero
    "22021": ConfigError,  # bytes are no text in the encoding
    "22P05": ConfigError,  # the encoding lacks a character
    "23505": DataError,
    "25006": TransientError,  # the server has become a standby
    "25P03": TransientError,  # the transaction was idle for too long
    "25P04": TransientError,  # it took too long
    "27000": DataError,
    "28P01": ConfigError,
    "2BP01": ConfigError,  # others depend on the object
    "2F005": DataError,
    "38000": DataError,
    "39000": DataError,
    "3D000": ConfigError,
    "3F000": ConfigError,
    "40001": TransientError,
    "40P01": TransientError,
    "42501": ConfigError,
    "42804": ConfigError,
    "42P01": ConfigError,
    "44000": DataError,
    "53100": TransientError,  # the disk is full
    "54000": DataError,  # a value is too large for its index
    "55000": ConfigError,  # a materialised view has no rows yet
    "55006": TransientError,
    "55P03": TransientError,  # a lock was not to be had
    "57014": TransientError,  # the statement was cancelled
    "57P05": TransientError,
    "58030": TransientError,
    "72000": TransientError,
    "F0000": ConfigError,
    "HV00D": ConfigError,  # an option of a foreign server is wrong
    "HV00N": TransientError,  # a foreign server is away
    "P0001": DataError,  # a function raised it
    "XX000": TransientError,
    "XX001": DataError,  # a block of a table is damaged
}


def all_codes() -> list[str]:
    """List the SQLSTATEs that psycopg knows, which are those of appendix A."""
    known = [getattr(value, "sqlstate", None) for value in vars(errors).values() if isinstance(value, type)]
    return sorted({code for code in known if isinstance(code, str)})


@pytest.mark.parametrize(("code", "family"), CLASSES.items())
def test_an_error_has_the_family_of_its_remedy(code: str, family: type[TidemarkError]) -> None:
    with pytest.raises(family) as caught, translated("the database"):
        raise errors.lookup(code)("what went wrong")

    assert caught.value.message.startswith("the database ")
    assert "what went wrong" in caught.value.message
    assert caught.value.advice
    assert caught.value.sqlstate == code


def test_a_full_disk_of_the_server_needs_room_before_the_next_run() -> None:
    with pytest.raises(TransientError) as caught, translated("the database"):
        raise errors.DiskFull("could not extend file")

    assert caught.value.advice == "make room on the server's disk, then run again; nothing was lost"


def test_each_class_of_the_manual_has_a_family_or_is_a_mistake() -> None:
    classes = {code[:2] for code in all_codes()}

    assert len(classes) > 40
    assert classes - {code[:2] for code in CLASSES} == {code[:2] for code in all_codes() if family_of(code) is None} - {
        code[:2] for code in FAMILIES
    }
    assert [code for code in all_codes() if family_of(code) is None and not code.startswith(MISTAKES)] == []


def test_each_beginning_is_that_of_a_code() -> None:
    # PostgreSQL raises no success, warning or "no data" as an error; psycopg has no class for most of them.
    assert [each for each in (*FAMILIES, *MISTAKES) if not any(map(str(each).__eq__, beginnings()))] == ["00", "01"]


def beginnings() -> set[str]:
    """Give each code and each class."""
    return {code[:length] for code in all_codes() for length in (2, 5)}


@pytest.mark.parametrize("code", ["42601", "25P02", "26000", "34000", "3B001"])
def test_what_only_our_own_statements_can_cause_stays_a_mistake(code: str) -> None:
    with pytest.raises(psycopg.Error, match="what went wrong"), translated("the database"):
        raise errors.lookup(code)("what went wrong")


def test_an_error_without_a_code_is_one_of_the_connection_or_of_a_value() -> None:
    with pytest.raises(TransientError), translated("the database"):
        raise psycopg.OperationalError("the connection is lost")
    with pytest.raises(DataError), translated("the database"):
        raise psycopg.DataError("a text cannot hold NUL")
