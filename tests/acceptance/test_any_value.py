"""Values that differ where they look the same are a change, and arrive as Postgres writes them."""

from tests.acceptance.conftest import NewSource

VALUES = """
create type mood as enum ('calm', 'angry', 'a "quoted", one');
create domain cents as numeric(12, 2) check (value >= 0);
create domain tag as text;
create domain tags as tag[];
create type place as (street text, number integer);
create table held (
    held_id integer primary key,
    as_numeric numeric, as_text text, as_float double precision, as_real real, as_json json, as_jsonb jsonb,
    as_array integer[], as_texts text[], as_enum mood, as_bytes bytea, as_interval interval, as_cents cents, as_tag tag,
    as_tags tags, as_char character(8), as_bpchar bpchar, as_bool boolean, as_date date, as_time time, as_timetz timetz,
    as_stamp timestamp, as_zoned timestamptz, as_uuid uuid, as_inet inet, as_bits bit varying(16), as_money money,
    as_range int4range, as_place place, as_xid xid, as_point point, as_tsvector tsvector, as_name name,
    as_small smallint, as_big bigint, as_oid oid
);
"""


PAIRS = [
    ("as_numeric", "1.0", "1.00"),
    ("as_numeric", "5", "-5"),
    ("as_numeric", "'NaN'", "'Infinity'"),
    ("as_numeric", "'-Infinity'", "'Infinity'"),
    ("as_numeric", "1e-30", "1e-31"),
    ("as_numeric", "0", "null"),
    ("as_numeric", "12345678901234567890.123456789012345678", "12345678901234567890.123456789012345679"),
    ("as_text", "''", "null"),
    ("as_text", "'null'", "null"),
    ("as_text", "'NULL'", "'null'"),
    ("as_text", r"'\N'", r"'\n'"),
    ("as_text", r"'\.'", r"'\\.'"),
    ("as_text", "'a'", "'a '"),
    ("as_text", "'\"'", "'\"\"'"),
    ("as_text", r"E'one\ntwo'", r"E'one\r\ntwo'"),
    ("as_text", r"E'one\ttwo,three;'", r"E'one\x01two,three;'"),
    ("as_text", "U&'\\FEFF'", "U&'\\FEFF\\FEFF'"),
    ("as_text", r"E'\b\f\v\t\\'", r"E'\\b\\f\\v\\t\t\\\\'"),
    ("as_text", "'caf\u00e9'", "'cafe\u0301'"),
    ("as_text", "'{\"a\": 1}'", "'{\"a\":1}'"),
    ("as_text", "'2024-01-01'", "'2024-01-01 00:00:00'"),
    ("as_text", "'1'", "'01'"),
    ("as_text", "'true'", "'t'"),
    ("as_text", "'\U0001f45c'", "'\U0001f45d'"),
    ("as_text", "repeat('x', 3000000)", "repeat('x', 3000001)"),
    ("as_float", "'-0'", "0"),
    ("as_float", "'NaN'", "'infinity'"),
    ("as_float", "0.1", "0.10000000000000002"),
    ("as_real", "'-0'", "0"),
    ("as_json", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("as_json", "'null'", "null"),
    ("as_jsonb", "'{\"a\": 1}'", "'{\"a\": 1.0}'"),
    ("as_jsonb", "'null'", "null"),
    ("as_jsonb", "'[]'", "'{}'"),
    ("as_array", "'{}'", "null"),
    ("as_array", "'{1,2}'", "'{{1,2}}'"),
    ("as_array", "'{1,2}'", "'[0:1]={1,2}'"),
    ("as_texts", "array[null]::text[]", "array['NULL']"),
    ("as_texts", "array['a,b']", "array['a', 'b']"),
    ("as_enum", "'calm'", "'a \"quoted\", one'"),
    ("as_bytes", r"'\x00'", r"'\x'"),
    ("as_bytes", r"'\xdeadbeef'", r"'\xdeadbeff'"),
    ("as_interval", "'1 day'", "'24 hours'"),
    ("as_interval", "'1 month'", "'30 days'"),
    ("as_cents", "1.5", "1.51"),
    ("as_tag", "''", "null"),
    ("as_tags", "array['a']", "array['b']"),
    ("as_char", "'a'", "'b'"),
    ("as_bpchar", "'a'", "'a '"),
    ("as_bool", "false", "null"),
    ("as_date", "'infinity'", "'0044-03-15 BC'"),
    ("as_time", "'24:00'", "'00:00'"),
    ("as_timetz", "'12:00+00'", "'13:00+01'"),
    ("as_stamp", "'2024-01-01 00:00:00.000001'", "'2024-01-01'"),
    # Their halves, as 32-bit numbers, are equal when they are folded together.
    ("as_stamp", "'2000-01-01'", "'2000-01-01 01:11:34.967297'"),
    ("as_zoned", "'2000-01-01Z'", "'2000-01-01 01:11:34.967297Z'"),
    ("as_zoned", "'294276-12-31 23:59:59.999999Z'", "'infinity'"),
    ("as_uuid", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    ("as_inet", "'10.0.0.1'", "'10.0.0.1/24'"),
    ("as_bits", "'01'", "'1'"),
    ("as_money", "1", "2"),
    ("as_range", "'empty'", "'[1,2)'"),
    ("as_place", "row('a', 1)", "row('a', null)"),
    ("as_xid", "'1'", "'2'"),
    ("as_point", "'(0,0)'", "'(-0,0)'"),
    ("as_tsvector", "'a b'", "'a'"),
    ("as_name", "'a'", "'b'"),
    ("as_small", "-32768", "32767"),
    ("as_big", "9007199254740993", "9007199254740992"),
    ("as_big", "1", "4294967296"),
    ("as_big", "-1", "4294967295"),
    ("as_big", "-9223372036854775808", "9223372036854775807"),
    ("as_oid", "4294967295", "0"),
]


def test_two_values_with_different_text_are_a_change(new_source: NewSource) -> None:
    source = new_source(VALUES, '[source.held]\nkey = ["held_id"]')
    # Beside each row that changes stands one that does not.
    for number, (column, before, _) in enumerate(PAIRS, start=1):
        source.execute(f"insert into held (held_id, {column}) values ({-number}, {before}), ({number}, {before})")
    source.ingest()
    rows_before = source.source("held")
    assert source.latest("held") == rows_before

    source.execute(
        *(f"update held set {column} = {after} where held_id = {n}" for n, (column, _, after) in enumerate(PAIRS, 1))
    )
    source.ingest()

    lines = {str(line["held_id"]): line for line in source.changes(3, "held")}
    assert [pair for number, pair in enumerate(PAIRS, start=1) if str(number) not in lines] == []
    assert len(lines) == len(PAIRS)
    rows = source.source("held")
    assert source.latest("held") == rows
    # The log holds the same texts, and a text is a text whatever it looks like.
    assert [_as_texts(lines[str(row["held_id"])]) for row in rows if str(row["held_id"]) in lines] == [
        row for row in rows if str(row["held_id"]) in lines
    ]
    assert [
        _as_texts(lines[str(row["held_id"])]["_before"]) for row in rows_before if str(row["held_id"]) in lines
    ] == [row for row in rows_before if str(row["held_id"]) in lines]
    assert source.ingest() is None


def _as_texts(line: object) -> dict[str, str | None]:
    assert isinstance(line, dict)
    flags = {True: "t", False: "f", None: None}
    return {
        name: flags[value] if value is None or isinstance(value, bool) else str(value)
        for name, value in line.items()
        if name not in ("_op", "_before")
    }
