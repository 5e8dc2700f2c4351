"""What a condition of the model may be: one condition, and nothing around it."""

from pathlib import Path

import pytest

from tests.support.small_source import write_model
from tidemark.choosing import Choice, faults_of_condition
from tidemark.errors import ConfigError
from tidemark.settings import Settings, load

SALT = "a long and secret salt"


@pytest.mark.parametrize(
    "where",
    [
        "region = 'eu'",
        "region in ('a;b', 'it''s --', '/* no */') and \"odd -- ; (name\" is not null",
        "changed > now() - interval '30 days'",
        "(tags)[1] ~ '^\\d+$' and at_time < timestamp with time zone '2024-01-01Z'",
        '"select" = 1 or selected',
        "a - -1 > 0 and name like '%{x}%'",
        "note <> 'the'\n'end'",
    ],
)
def test_a_condition_is_taken(where: str) -> None:
    assert list(faults_of_condition(where)) == []


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("true) or (true", "a ) closes what nothing opened"),
        ("(true", "a ( is not closed"),
        ("(tags[1)] = 1", "a ) closes what nothing opened"),
        ("true; drop table person", "one condition without ';'"),
        ("true -- or not", "expected no comment, got --"),
        ("true /* or not", "expected no comment, got /*"),
        ("name = 'open", "a ' has no second one"),
        ('name = "open', 'a " has no second one'),
        (r"name = E'\'' or true) --'", "got one with e' before it"),
        (r"name = U&'\0041'", "got one with u&' before it"),
        ("name = $$it$$", "without '$'"),
        ("id in (select id from other)", "over the table's own columns, got select"),
        ("exists (TABLE other)", "over the table's own columns, got TABLE"),
    ],
)
def test_what_is_no_single_condition_is_refused(where: str, said: str) -> None:
    assert said in "; ".join(faults_of_condition(where))


def test_a_choice_that_cannot_be_made_is_a_mistake_of_the_model(tmp_path: Path) -> None:
    toml = """
    [source.person]
    key = ["person_id"]
    created = "born"
    updated = "changed"
    exclude = ["changed", "email"]
    mask = { email = "null", person_id = "first_letter", born = "null" }
    where = "true); drop table person"
    """
    with pytest.raises(ConfigError) as caught:
        write_model(tmp_path / "model", toml)
    found = [problem.partition("[source.person] ")[2] for problem in caught.value.problems]
    assert found == [
        "exclude names changed, which is in the key or is a column of time: Tidemark has to read it",
        "email is excluded and masked: expected one of the two",
        'mask of person_id is "first_letter", and person_id is in the key: expected "sha256", which keeps keys apart',
        "mask names born, which is a column of time: Tidemark has to read it as it is",
        "where is 'true); drop table person': a ) closes what nothing opened",
    ]
    with pytest.raises(ConfigError, match=r"mask is \{'email': 'md5'\}: expected column names, each with one of"):
        write_model(tmp_path / "other", '[source.a]\nkey = ["id"]\nmask = { email = "md5" }')


def test_a_salt_is_long_and_never_shown(tmp_path: Path) -> None:
    settings = load({"mask_salt": SALT}, environ={}, directory=tmp_path)
    choice = Choice(mask={"email": "sha256"}, salt=SALT)
    assert settings.mask_salt == SALT
    assert SALT not in f"{settings!r} {settings.masked()} {choice!r} {choice.fingerprint}"
    assert choice.fingerprint != Choice(mask={"email": "sha256"}, salt=f"{SALT}.").fingerprint
    with pytest.raises(ConfigError) as caught:
        load({"mask_salt": "short"}, environ={}, directory=tmp_path)
    assert caught.value.problems == ("--mask-salt: expected a secret text of 16 characters or more, got 5",)
    assert Settings().masked()["mask_salt"] is None
