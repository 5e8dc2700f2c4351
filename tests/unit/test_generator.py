"""How large a generated source is."""

from tidemark.embedded.generator import TABLES, sizes


def test_scale_1_is_the_size_of_the_real_source() -> None:
    assert sizes(1) == {
        "department": 8,
        "staff": 20,
        "address": 30,
        "counterparty": 20,
        "currency": 3,
        "payment_type": 4,
        "design": 473,
        "sales_order": 11_000,
        "purchase_order": 4_600,
        "transaction": 15_800,
        "payment": 15_800,
    }


def test_scale_100_has_4_74_million_rows() -> None:
    assert round(sum(sizes(100).values()) / 1_000_000, 2) == 4.74


def test_every_table_has_a_size() -> None:
    assert sorted(sizes(0.01)) == sorted(TABLES)
