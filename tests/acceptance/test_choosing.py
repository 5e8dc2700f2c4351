"""What a model excludes, masks or filters out never leaves the source, and everything else is as it always is."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.pipeline import clock
from tests.support.small_source import SmallSource, write_model
from tidemark.backfill import Backfill
from tidemark.choosing import Choice
from tidemark.doctor import examine
from tidemark.errors import ConfigError, ContractError
from tidemark.log.changelog import ChangeLog
from tidemark.objects import open_objects
from tidemark.pipeline import wire
from tidemark.settings import Settings
from tidemark.verification.result import TableProof
from tidemark.verification.verify import Verify

SALT, OTHER_SALT = "a long and secret salt", "another long, secret salt"
TABLES = """
create table person (
    person_id integer primary key, email text, phone text, name varchar(40), card numeric(16, 0), notes text,
    region text not null, changed timestamp not null default '2024-01-01'
);
create index on person (changed);
insert into person
select n, 'mail' || n || '@example.com', '0700-' || n, 'Ünal ' || n, 4000000000000000 + n, 'note ' || n,
    case when n % 3 = 0 then 'us; --' else 'eu' end
from generate_series(1, 3000) as n;
create table login (email text primary key, person_id integer);
insert into login select email, person_id from person where person_id <= 50;
"""
MODEL = """
[source.person]
key = ["person_id"]
updated = "changed"
exclude = ["notes"]
mask = { email = "sha256", phone = "null", name = "first_letter", card = "sha256" }
where = "region <> 'us; --' or (region = 'eu')"

[source.login]
key = ["email"]
mask = { email = "sha256" }
"""
SECRETS = (b"@example.com", b"0700-", b"nal ", b"40000000000", b"note", SALT.encode())


def sha256(value: object, salt: str = SALT) -> str:
    return hashlib.sha256(f"{salt}{value}".encode()).hexdigest()


def counts(source: SmallSource, *tables: str) -> list[tuple[int, int, int]]:
    """Poll once, and count the inserts, updates and deletes of some tables."""
    manifest = source.ingest()
    entries = [manifest.tables[name] for name in tables] if manifest else []
    return [(each.inserted, each.updated, each.deleted) for each in entries]


def proofs(source: SmallSource) -> Sequence[TableProof]:
    return (
        Verify(source.model, source.objects, source.objects, source.pointer, source.reads_as, None, clock)
        .source_latest()
        .tables
    )


def pending(source: SmallSource) -> list[dict[str, int]]:
    """Prove that source and latest hold the same but for what is pending, and give that."""
    found = proofs(source)
    assert [proof.count for proof in found] == [0] * len(found), found
    return [dict(proof.pending) for proof in found]


@pytest.fixture
def people(source_database: str, tmp_path: Path) -> SmallSource:
    """A source of which a model hides much, after its baseline."""
    model = write_model(tmp_path / "model", MODEL).salted(SALT)
    source = SmallSource(tmp_path, source_database, model)
    source.execute("drop schema public cascade; create schema public", TABLES)
    source.ingest()
    return source


def test_what_is_hidden_is_nowhere_and_what_changes_is_found(people: SmallSource, tmp_path: Path) -> None:
    rows = {row["person_id"]: row for row in people.latest("person")}
    assert len(rows) == 2000
    assert rows["7"] == {
        "person_id": "7",
        "email": sha256("mail7@example.com"),
        "phone": None,
        "name": "Ü",
        "card": sha256(4000000000000007),
        "region": "eu",
        "changed": "2024-01-01 00:00:00",
    }
    # Masked alike, a key and what refers to it still meet.
    assert {row["email"] for row in people.latest("login")} == {sha256(f"mail{n}@example.com") for n in range(1, 51)}
    assert pending(people) == [{}, {}]

    people.execute(
        "update person set notes = 'note', phone = '0700-1', name = 'Ünal' where person_id < 30",
        "update person set email = 'new' where person_id = 1",
        "update person set name = 'Öner 0700-2', changed = now() where person_id = 2",
        "update person set region = 'us; --', changed = now() where person_id = 4",
        "update person set region = 'us; --' where person_id = 1000",
        "update person set region = 'eu' where person_id in (3, 6)",
        "delete from person where person_id in (5, 9)",
        "delete from login where person_id = 1; update login set person_id = 0 where person_id = 2",
        "insert into login values ('0700-3', 1)",
    )
    assert pending(people) == [{"insert": 2, "update": 2, "delete": 3}, {"insert": 1, "update": 1, "delete": 1}]
    assert counts(people, "person", "login") == [(2, 2, 3), (1, 1, 1)]
    assert {row["person_id"]: row["email"] for row in people.latest("person")}["1"] == sha256("new")
    assert people.ingest() is None
    assert pending(people) == [{}, {}]
    whole = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "model" not in path.parts)
    assert [secret for secret in SECRETS if secret in whole] == []


def test_another_salt_mask_or_filter_is_noticed_and_verified(people: SmallSource) -> None:
    people.model = people.model.salted(OTHER_SALT)
    assert pending(people)[0] == {"update": 2000}
    # A key that is masked in another way is another key.
    assert counts(people, "person", "login") == [(0, 2000, 0), (50, 0, 50)]
    assert people.latest("person")[0]["email"] == sha256("mail1@example.com", OTHER_SALT)
    assert people.ingest() is None

    person = people.model.sources["person"]
    less = Choice(exclude=("notes", "card"), mask={"phone": "null"}, where="person_id <= 10 and region = 'eu'")
    people.model = replace(people.model, sources={"person": replace(person, choice=less)})
    assert pending(people) == [{"update": 7, "delete": 1993}]
    assert counts(people, "person") == [(0, 7, 1993)]
    assert [(row["person_id"], row["email"]) for row in people.latest("person")] == [
        (str(n), f"mail{n}@example.com") for n in (1, 10, 2, 4, 5, 7, 8)
    ]
    assert "card" not in people.changes(3, "person")[0]
    assert people.ingest() is None


def test_a_filter_by_time_lets_rows_leave_and_a_backfill_sees_the_same_rows(people: SmallSource) -> None:
    person = people.model.sources["person"]
    recent = replace(person.choice, where="changed > clock_timestamp() - interval '1 hour'")
    people.model = replace(people.model, sources={"person": replace(person, choice=recent, sweep_every=1000)})
    people.execute("update person set changed = now() where person_id in (1, 2, 3)")
    people.ingest()
    assert [row["person_id"] for row in people.latest("person")] == ["1", "2", "3"]

    people.execute("update person set email = 'new' where person_id = 1; delete from person where person_id = 2")
    report = Backfill(people.model, people.reads_as, people.objects, people.pointer, clock).run(
        datetime(2024, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    )
    found = report.tables["person"]
    assert (found.inserted, found.updated, found.deleted) == (0, 1, 1)
    assert [row["email"] for row in people.latest("person")] == [sha256("new"), sha256("mail3@example.com")]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(exclude=("not there",)), "has no column ['not there'], which the model hides"),
        (Choice(where="colour = 'red'"), 'column "colour" does not exist'),
        (Choice(where="person_id"), "argument of WHERE must be type boolean, not type integer"),
        (Choice(where="count(*) > 1"), "aggregate functions are not allowed in WHERE"),
        (Choice(where="person_id >"), "syntax error"),
    ],
)
def test_a_choice_that_the_source_cannot_make_writes_nothing(people: SmallSource, choice: Choice, said: str) -> None:
    known = people.model
    people.model = replace(known, sources={"person": replace(known.sources["person"], choice=choice)})
    with pytest.raises(ContractError) as caught:
        people.ingest()
    assert said in caught.value.message
    newest = ChangeLog(people.objects).newest()
    assert newest is not None
    assert newest.batch == 1


def test_without_a_salt_nothing_is_read(people: SmallSource) -> None:
    people.model = people.model.salted("")
    with pytest.raises(ConfigError, match="there is no salt"):
        people.ingest()


def test_a_select_that_reads_what_is_excluded_is_a_mistake_of_the_model(source_database: str, tmp_path: Path) -> None:
    files = {
        "dimension/person.sql": "select person_id, p.notes, card * 2 as card from person as p",
        "warehouse.sql": "create table dim_person (person_id integer primary key, notes text, card numeric(20));",
    }
    star = '[star.dim_person]\nkind = "dimension"\nkey = ["person_id"]\nreads = ["person"]'
    toml = f'[source.person]\nkey = ["person_id"]\nexclude = ["phone", "notes", "card"]\n{star}'
    source = SmallSource(tmp_path, source_database, write_model(tmp_path / "model", toml, files))
    source.execute("drop schema public cascade; create schema public", TABLES)
    with pytest.raises(ConfigError) as caught:
        source.ingest()
    reads = "dimension/person.sql reads person.{0}, and [source.person] excludes it: take it out of one of the two"
    assert caught.value.problems == (reads.format("notes"), reads.format("card"))
    assert ChangeLog(open_objects(str(tmp_path / "ingestion"))).newest() is None


def test_doctor_names_a_missing_salt_and_what_cannot_be_chosen(people: SmallSource, tmp_path: Path) -> None:
    def failures(salt: str | None = None) -> list[str]:
        settings = Settings(
            source_url=people.reads_as,
            model=str(people.model.directory),
            ingestion=str(tmp_path / "ingestion"),
            processed=str(tmp_path / "processed"),
            pointer=str(tmp_path / "pointer.json"),
            mask_salt=salt,
        )
        found = [each for each in examine(lambda: wire(settings)) if each.outcome == "failure"]
        return [each.found for each in found if each.area in {"settings", "source"}]

    people.execute("alter table person rename region to area; alter table login rename email to mail")
    column = 'column "region" does not exist'
    assert failures() == [
        'the model masks values by "sha256", and there is no salt',
        f"source table 'person' cannot be read where region <> 'us; --' or (region = 'eu'): {column}",
        "table public.login has no column email",
    ]
    assert len(failures(SALT)) == 2
