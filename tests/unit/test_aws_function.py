"""What a function reads out of an event, and what it says when it fails."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.aws.function import LONGEST_TEXT_BYTES, failure_text, log_link
from tidemark.aws.request import Request, read_request
from tidemark.errors import ConfigError
from tidemark.settings import parse_moment

LINK = "https://eu-west-2.console.aws.amazon.com/cloudwatch/home"


@pytest.mark.parametrize("event", [{}, {"input": {}}, {"Comment": "Insert your JSON here"}, {"input": {"Comment": ""}}])
def test_an_event_that_asks_for_nothing_is_for_the_stage_itself(event: object) -> None:
    assert read_request(event) == Request()


def test_an_event_may_ask_for_a_range_of_time() -> None:
    asked = {"backfill": {"from": "2024-11-01", "to": "2024-11-08", "tables": ["sales_order"]}}

    expected = Request((parse_moment("2024-11-01"), parse_moment("2024-11-08")), ("sales_order",))
    assert read_request(asked) == read_request({"input": asked}) == expected


def test_an_event_may_ask_for_a_rebuild() -> None:
    assert read_request({"rebuild": "star"}) == Request(rebuilds="star")
    asked = {"rebuild": "latest", "accept_differences": True}
    assert read_request({"input": asked}) == Request(rebuilds="latest", accepts=True)


def test_an_event_of_the_state_machine_brings_what_went_before() -> None:
    event = {"input": {"verify": True}, "execution": "morning", "ingested": {"batch": 7}}

    assert read_request(event) == Request(verifies=True, execution="morning", ingested={"batch": 7})


@pytest.mark.parametrize(
    ("event", "problems"),
    [
        ({"backfil": {}}, ["unknown 'backfil'"]),
        ([1], ["expected an object, got [1]"]),
        ({"input": "verify", "execution": "tick"}, ["expected an object, got 'verify'"]),
        ({"verify": "yes"}, ["verify is 'yes': expected true or false"]),
        ({"backfill": "2024"}, ["backfill is '2024': expected an object with from, to and perhaps tables"]),
        (
            {"backfill": {"from": "2024-11-01", "until": "2024-11-02", "tables": "payment"}},
            [
                "unknown 'until' in backfill",
                "backfill.to: expected a time such as 2024-11-01 or 2024-11-01T12:00, got ''",
                "backfill.tables is 'payment': expected a list of names",
            ],
        ),
        (
            {"verify": True, "backfill": {"from": "2024-11-01", "to": "2024-11-02"}},
            ["backfill, rebuild and verify at once: start one after the other"],
        ),
        ({"rebuild": "lake"}, ["rebuild is 'lake': expected one of latest, star, warehouse"]),
        ({"accept_differences": True}, ["accept_differences without rebuild: expected both"]),
    ],
)
def test_everything_wrong_with_an_event_is_named(event: object, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_request(event)

    assert list(caught.value.problems) == [f"input: {problem}" for problem in problems]
    assert '"verify": true' in caught.value.advice


def test_a_failure_reads_well() -> None:
    text = failure_text("load", "the warehouse refuses a row", "mend the row", 7, LINK)

    assert text == f"load: the warehouse refuses a row\nbatch: 7\nwhat to do: mend the row\nlog: {LINK}"


@given(message=st.text(max_size=40_000), advice=st.text(max_size=40_000))
def test_a_failure_keeps_its_link_however_long_it_is(message: str, advice: str) -> None:
    text = failure_text("load", message, advice, 7, LINK)

    assert len(text.encode("utf-8", "surrogatepass")) <= LONGEST_TEXT_BYTES
    assert text.startswith("load: ")
    assert text.endswith(f"\nlog: {LINK}")


def test_the_link_leads_to_the_lines_of_the_invocation() -> None:
    context: Any = SimpleNamespace(
        invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:tidemark-ingest",
        log_group_name="/aws/lambda/tidemark-ingest",
        log_stream_name="2026/11/21/[$LATEST]abc",
        aws_request_id="8f1c",
    )

    link = log_link(context)

    place, _, parts = link.partition("#logsV2:log-groups/log-group/")
    assert place == "https://eu-west-2.console.aws.amazon.com/cloudwatch/home?region=eu-west-2"
    once = unquote(parts.replace("$", "%"))
    assert once == (
        "%2Faws%2Flambda%2Ftidemark-ingest/log-events/2026%2F11%2F21%2F%5B%24LATEST%5Dabc?filterPattern=%228f1c%22"
    )
    assert unquote(once) == '/aws/lambda/tidemark-ingest/log-events/2026/11/21/[$LATEST]abc?filterPattern="8f1c"'
