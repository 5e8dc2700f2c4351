"""Keys that are equal for the source are one key everywhere, whatever text the source prints."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.conftest import NewSource
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tests.support.small_source import write_model
from tests.support.tampering import alter_manifest

# The key's type, that of the warehouse, two keys, and what changes the text of the first.
KEYS = {
    "retyped": ("numeric", "integer", "1", "2", "alter table retyped alter id type numeric(7,2)"),
    "floating": ("double precision", "double precision", "0", "2", "update floating set id = '-0' where id = 0"),
    "padded": ("char(4)", "varchar(4)", "'a'", "'b'", "alter table padded alter id type char(8)"),
}


def model(folder: Path) -> str:
    """Write a model of these tables: each is a dimension and a fact that refers to it."""
    toml, files = 'name = "equal keys"\n', {"warehouse.sql": ""}
    for name, (_, kind, *_) in KEYS.items():
        toml += f'[source.{name}]\nkey = ["id"]\n'
        toml += f'[star.dim_all_{name}]\nkind = "dimension"\nkey = ["id"]\nreads = ["{name}"]\n'
        toml += f'[star.fact_{name}]\nkind = "fact"\nkey = ["record_id"]\ndriving = "{name}"\nsource_key = ["id"]\n'
        toml += f'reads = ["{name}"]\n[star.fact_{name}.references]\nparent = "dim_all_{name}"\n'
        files |= {f"dimension/all_{name}.sql": f"select id, n from {name}"}
        files |= {f"fact/{name}.sql": f"select id, parent, n from {name}"}
        files["warehouse.sql"] += (
            f"create table dim_all_{name} (id {kind} primary key, n integer);"
            f"create table fact_{name} (record_id bigint primary key, id {kind} not null, parent {kind}"
            f" references dim_all_{name}, n integer, valid_from timestamp not null, is_deleted boolean not null,"
            " batch_id bigint not null, valid_to timestamp);"
        )
    write_model(folder, toml, files)
    return str(folder)


def build(url: str) -> None:
    with psycopg.connect(url) as connection:
        for name, (type_, _, first, second, _) in KEYS.items():
            made = f"create table {name} (id {type_} primary key, parent {type_}, n integer)"
            rows = f"insert into {name} values ({first}, null, 1), ({second}, {first}, 1)"
            connection.execute(f"{made}; {rows}".encode())


def test_a_key_in_another_text_is_one_row_that_was_updated_from_source_to_warehouse(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    rig = new_rig(postgres.template("equal keys", build), model=model(tmp_path / "model"))
    rig.run()

    rig.change(*(change for *_, change in KEYS.values()))
    rig.run()

    tables = rig.newest().tables
    counts = {name: (tables[name].inserted, tables[name].updated, tables[name].deleted) for name in KEYS}
    assert counts == {"retyped": (0, 2, 0), "floating": (0, 1, 0), "padded": (0, 2, 0)}
    assert unproven(verify(rig)) == set()
    rig.change(*(f"update {name} set n = 2" for name in KEYS))
    rig.run()

    assert unproven(verify(rig, deep=True)) == set()
    for name, (_, _, key, *_) in KEYS.items():
        first = rig.warehouse(f"select n, valid_to is null from fact_{name} where id = {key} order by valid_from")
        assert first == [(1, False), (1, False), (2, True)], name
        assert rig.count(f"dim_all_{name}") == rig.count(f"fact_{name}_current") == len(rig.latest(name)) == 2


def test_a_key_in_another_text_is_found_without_a_sweep_and_two_texts_that_differ_are_two_keys(
    new_source: NewSource,
) -> None:
    source = new_source(
        "create table pair (id numeric, code char(3), n integer, at timestamp, primary key (id, code));"
        "insert into pair values (1, 'a', 1, '2024-01-01'), (10, 'a', 1, '2024-01-01'), (0.1, 'b', 1, '2024-01-01');"
        "create table plain (id text primary key); insert into plain values ('1'), ('a')",
        '[source.pair]\nkey = ["id", "code"]\nupdated = "at"\nsweep_every = 9\n[source.plain]\nkey = ["id"]',
    )

    source.execute(
        "update pair set id = id::numeric(9,3), at = now() where id < 10", "update plain set id = id || '.0'"
    )
    manifest = source.ingest()

    assert manifest is not None
    assert not manifest.tables["pair"].swept
    counts = {name: (each.inserted, each.updated, each.deleted) for name, each in manifest.tables.items()}
    assert counts == {"pair": (0, 2, 0), "plain": (2, 0, 2)}
    assert [line["_before"]["id"] for line in source.changes(2, "pair")] == ["0.1", "1"]  # type: ignore[index]
    assert source.latest("pair") == source.source("pair")
    assert source.ingest() is None


def test_a_log_in_which_such_a_key_went_and_came_gives_one_history(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    rig = new_rig(postgres.template("equal keys", build), model=model(tmp_path / "model"))
    rig.run()
    rig.change("update floating set id = '-0', n = 2 where id = 0", "update retyped set id = 2.0 where id = 2")
    rig.ingest()
    for table in ("floating", "retyped"):
        as_before(rig, table)

    rig.transform()
    rig.load()

    for name, key in (("floating", 0), ("retyped", 2)):
        found = rig.warehouse(
            f"select is_deleted, valid_to is null from fact_{name} where id = {key} order by record_id"
        )
        assert found == [(False, False), (True, False), (False, True)]
    assert unproven(verify(rig)) == set()


def as_before(rig: Rig, table: str) -> None:
    """Write the update of batch 2 as a Tidemark wrote it that told these keys apart by text."""
    (entry,) = rig.newest().tables[table].objects
    line = json.loads(rig.ingestion.get(entry.key))
    before = line.pop("_before")
    lines = sorted(
        [before | {"_op": "delete", "_before": before}, line | {"_op": "insert"}], key=lambda each: each["id"]
    )
    body = "".join(json.dumps(each) + "\n" for each in lines).encode()
    rig.ingestion.delete([entry.key])
    rig.ingestion.put_new(entry.key, body)

    def change(content: dict[str, Any]) -> None:
        counts = {"inserted": 1, "updated": 0, "deleted": 1}
        digest = hashlib.sha256(body).hexdigest()
        content["tables"][table] |= counts
        content["tables"][table]["objects"] = [{"key": entry.key, "rows": 2, "bytes": len(body), "sha256": digest}]

    alter_manifest(rig.ingestion, 2, change)
