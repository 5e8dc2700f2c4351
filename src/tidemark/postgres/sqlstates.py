"""SQLSTATEs (PostgreSQL manual, appendix A) by what a person does next: each class of them belongs to a family.

Databases hold other people's views, triggers, functions and foreign tables. What fails in these is no mistake in
Tidemark. An SQLSTATE counts as a mistake only if nothing but Tidemark's own statements can cause it; those are listed.
"""

from dataclasses import dataclass

from tidemark.errors import ConfigError, DataError, TidemarkError, TransientError

AGAIN = "run again; nothing was lost"
UNWRITTEN = "nothing of this batch was written"
CHECK_URL = "check user, password and database in the URL or the secret"


@dataclass(frozen=True)
class Family:
    """What errors of some SQLSTATEs become; `words` stand between the database's name and the server's words."""

    error: type[TidemarkError]
    words: str
    advice: str


_AWAY = Family(
    TransientError,
    " is away, busy or full: ",
    f"see that the server is up, can be reached from here and takes connections, then {AGAIN}",
)
_DISK_FULL = Family(TransientError, " is away, busy or full: ", f"make room on the server's disk, then {AGAIN}")
_CONFLICT = Family(
    TransientError,
    " ended the transaction for the sake of others: ",
    f"{AGAIN}; a replica that does so again and again needs hot_standby_feedback = on, or a higher"
    " max_standby_streaming_delay",
)
_NOT_NOW = Family(TransientError, " cannot answer at present: ", AGAIN)
_REFUSES_US = Family(ConfigError, " refuses: ", CHECK_URL)
_ROW = Family(DataError, " refuses a row: ", UNWRITTEN)
_CALLS_EQUAL = "`tidemark doctor` names a key column that calls two texts equal, and says what to write"
_TWICE = Family(
    DataError,
    " refuses a row: ",
    f"{UNWRITTEN}. {_CALLS_EQUAL}. A unique rule beside the model's keys has to go",
)
_NULL = Family(
    DataError, " refuses a row: ", f"{UNWRITTEN}. tidemark init lets a column be null that the model no longer has"
)
_SECOND_TIME = Family(
    DataError,
    " meets a row a second time: ",
    f"{UNWRITTEN}. {_CALLS_EQUAL}. A trigger or view that fails has to be mended",
)
CODE = Family(DataError, " has a function, trigger or view that fails: ", f"mend it or the rows; {UNWRITTEN}")
_LIMIT = Family(DataError, " reaches a limit of PostgreSQL: ", f"shorten the value or drop its index; {UNWRITTEN}")
_SHAPE = Family(
    ConfigError,
    " does not have the tables or columns that the model needs: ",
    "tidemark init makes what is new in the model, tidemark rebuild warehouse also what was lost; or mend the model",
)
_UNFIT = Family(ConfigError, " does not take what the model needs: ", "mend the model or the database")
_STANDS_IN_THE_WAY = Family(
    ConfigError, " has something in the way: ", "change the object that the message names, then run the command again"
)
_ENCODING = Family(
    ConfigError,
    " meets text that an encoding cannot hold: ",
    "correct the text in the source, or move the database to one with the encoding UTF8",
)
_SERVER = Family(ConfigError, " is set up wrongly: ", "mend the server's configuration, which the message names")
_FOREIGN = Family(ConfigError, " has a foreign table that cannot be read: ", "mend its foreign server or its options")
_INTERNAL = Family(TransientError, " has an error of its own: ", f"{AGAIN}; if it comes back, read the server's log")
_DAMAGED = Family(DataError, " is damaged: ", "the server's own files are broken: reindex, or restore the database")

# The longest beginning of a code decides.
FAMILIES = {
    "08": _AWAY,
    "09": CODE,
    "0A": _STANDS_IN_THE_WAY,
    "0F": CODE,
    "0L": _UNFIT,
    "0P": _UNFIT,
    "0Z": CODE,
    "10": CODE,
    "20": CODE,
    "21": _SECOND_TIME,
    "22": _ROW,
    "22021": _ENCODING,
    "22P05": _ENCODING,
    "23": _ROW,
    "23502": _NULL,
    "23505": _TWICE,
    "25006": _NOT_NOW,
    "25P03": _NOT_NOW,
    "25P04": _NOT_NOW,
    "27": CODE,
    "28": _REFUSES_US,
    "2B": _STANDS_IN_THE_WAY,
    "2F": CODE,
    "38": CODE,
    "39": CODE,
    "3D": _REFUSES_US,
    "3F": _SHAPE,
    "40": _AWAY,
    "40001": _CONFLICT,
    "42": _UNFIT,
    "42501": Family(ConfigError, " denies a right: ", "`tidemark doctor` names the rights that are missing"),
    "42703": _SHAPE,
    "42883": _SHAPE,
    "42P01": _SHAPE,
    "42P10": _SHAPE,
    "44": _ROW,
    "53": _AWAY,
    "53100": _DISK_FULL,
    "54": _LIMIT,
    "55": _STANDS_IN_THE_WAY,
    "55006": _AWAY,
    "55P03": _AWAY,
    "57": _AWAY,
    "58": _AWAY,
    "72": _NOT_NOW,
    "F0": _SERVER,
    "HV": _FOREIGN,
    "HV00N": _AWAY,
    "P0": CODE,
    "XX": _INTERNAL,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
# Success, warnings and "no data" are no errors. The others speak of statements, cursors and transactions that are
# Tidemark's own.
MISTAKES = (
    "00",
    "01",
    "02",
    "03",
    "0B",
    "24",
    "25",
    "26",
    "2D",
    "34",
    "3B",
    "42601",
    "42602",
    "42P02",
    "42P03",
    "42P05",
)


def family_of(code: str) -> Family | None:
    """Give the family of an SQLSTATE; None for one that only a mistake in Tidemark can cause."""
    known = [each for each in (*FAMILIES, *MISTAKES) if code.startswith(each)]
    return FAMILIES.get(max(known, key=len)) if known else None
