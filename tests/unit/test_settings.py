"""Where the settings come from, and what is said about wrong ones."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.engine_address import engine_from
from tidemark.errors import ConfigError
from tidemark.pipeline import Pipeline, utc_now, workers_for
from tidemark.settings import (
    CHOICES,
    NAMES,
    Settings,
    flag,
    load,
    mask_password,
    parse_duration,
    parse_moment,
    variable,
)

SOURCE = "postgresql://reader:s3cr3t@db.example:5432/totesys"


def test_the_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    got = load({}, environ={}, directory=tmp_path)

    assert got == Settings(
        source_url=None,
        warehouse_url=None,
        ingestion=".tidemark/ingestion",
        processed=".tidemark/processed",
        pointer=".tidemark/pointer.json",
        source_secret=None,
        warehouse_secret=None,
        mask_salt=None,
        mask_salt_secret=None,
        model="totesys",
        lag=timedelta(seconds=5),
        yield_after=timedelta(seconds=2),
        memory_limit=None,
        sslrootcert=None,
        show_values=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path, name: str) -> None:
    texts = {
        "source_url": "postgresql://{}/db",
        "warehouse_url": "postgresql://{}/db",
        "lag": "{}s",
        "yield_after": "{}s",
        "workers": "{}",
        "pointer": "ssm:/{}",
        "mask_salt": "a long and secret salt, {}",
        "dashboard_token": "alongandsecrettoken{}",
        "memory_limit": "{}GB",
        "freshness": "{}m",
        "engine": "sc://host-{}:15002",
        "webhook_url": "https://{}/hook",
    }
    in_file, in_environment, in_flag = (texts.get(name, "s3://bucket/{}").format(number) for number in (1, 2, 3))
    if name in CHOICES:
        in_file, in_environment, in_flag = ("true", "false", "true")
    durations = dict.fromkeys(("lag", "yield_after", "freshness"), parse_duration)
    parsed = {**durations, **dict.fromkeys(CHOICES, "true".__eq__)}.get(name, int if name == "workers" else str)
    (tmp_path / "tidemark.toml").write_text(f'{name} = "{in_file}"\n')
    environ = {variable(name): in_environment, "HOME": "/root"}

    assert getattr(load({name: None}, environ={}, directory=tmp_path), name) == parsed(in_file)
    assert getattr(load({name: None}, environ=environ, directory=tmp_path), name) == parsed(in_environment)
    assert getattr(load({name: in_flag}, environ=environ, directory=tmp_path), name) == parsed(in_flag)


def test_the_environment_is_that_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_MODEL", "other")

    assert load({}, directory=tmp_path).model == "other"


def test_giving_way_may_be_turned_off_but_zero_which_could_mean_at_once_is_refused(tmp_path: Path) -> None:
    assert load({"yield_after": "off"}, environ={}, directory=tmp_path).yield_after is None
    for text in ("0s", "0", "never"):
        with pytest.raises(ConfigError, match="above zero such as 500ms or 2s, or off for never"):
            load({"yield_after": text}, environ={}, directory=tmp_path)


def test_few_sessions_read_a_table_unless_more_are_asked_for(tmp_path: Path) -> None:
    assert [workers_for(cores) for cores in (None, 1, 2, 3, 4, 8, 9, 96)] == [1, 1, 1, 1, 2, 4, 4, 4]
    assert load({"workers": "64"}, environ={}, directory=tmp_path).workers == 64
    for text in ("0", "65", "-1", "1.5", "two", "٤"):
        with pytest.raises(ConfigError, match="expected a number from 1 to 64"):
            load({"workers": text}, environ={}, directory=tmp_path)


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    assert load({}, environ={"TIDEMARK_SOURCE_URL": ""}, directory=tmp_path).source_url is None


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "tidemark.toml").write_text('modle = "totesys"\nlag = 5\nsource_url = ""\n')
    environ = {
        "TIDEMARK_SOURCE_URL": "mysql://reader:s3cr3t@db/totesys",
        "TIDEMARK_INGESTION": "gs://bucket",
        "TIDEMARK_WAREHOUSE": "x",
    }

    with pytest.raises(ConfigError) as caught:
        load({"pointer": "s3://bucket/pointer", "lag": "soon"}, environ=environ, directory=tmp_path)

    problems = "\n".join(sorted(caught.value.problems))
    assert len(caught.value.problems) == 8
    for said in (
        "'modle' in tidemark.toml is not a setting",
        "'lag' in tidemark.toml: expected a text that is not empty, got int",
        "'source_url' in tidemark.toml: expected a text that is not empty, got str",
        "TIDEMARK_WAREHOUSE is not a setting",
        "TIDEMARK_SOURCE_URL: expected postgresql://",
        "TIDEMARK_INGESTION: expected s3://",
        "--pointer: expected ssm:/path or a file",
        "--lag: expected a duration",
    ):
        assert said in problems


@pytest.mark.parametrize(
    "url",
    [
        "mysql://reader:s3cr3t@db/totesys",
        "postgresql://reader:s3cr3t/with/slashes@db/totesys",
        "postgresql://reader:s3cr3t@db:port/totesys",
        "postgresql://[reader:s3cr3t@db/totesys",
        "reader:s3cr3t@db",
        "host=db user=reader password=s3cr3t",
        "s3cr3t",
    ],
)
def test_no_message_shows_a_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"source_url": url}, environ={}, directory=tmp_path)

    assert "s3cr3t" not in f"{caught.value} {caught.value!r} {caught.value.problems} {caught.value.facts}"


def test_showing_the_settings_shows_no_password(tmp_path: Path) -> None:
    flags = {"source_url": SOURCE, "warehouse_url": "postgresql://db/x?user=a&password=s3cr3t"}

    got = load(flags, environ={}, directory=tmp_path)

    assert got.source_url == SOURCE
    assert "s3cr3t" not in f"{got} {got!r} {got.masked()}"
    assert "postgresql://reader:***@db.example:5432/totesys" in repr(got)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (SOURCE, "postgresql://reader:***@db.example:5432/totesys"),
        ("postgresql://reader@db/totesys", "postgresql://reader@db/totesys"),
        ("postgresql://db/totesys", "postgresql://db/totesys"),
        ("postgresql:///totesys?host=/run/pg&user=x", "postgresql:///totesys?host=/run/pg&user=x"),
        ("postgresql://u:s3@cr3t@db/x", "postgresql://u:***@db/x"),
        ("postgresql://db/x?password=a%26b&user=u", "postgresql://db/x?password=***&user=u"),
        ("postgresql://db/x?user=u&sslpassword=a", "postgresql://db/x?user=u&sslpassword=***"),
        ("postgresql://u:s3cr3t#x@db/x", "postgresql://u:***@db/x"),
        ("postgresql://u:s3cr3t?x@db/x", "postgresql://u:***@db/x"),
        ("postgresql://u:s3cr3t/x@db/x", "postgresql://u:***@db/x"),
        ("host=db password=s3cr3t", "***"),
    ],
)
def test_a_password_is_masked_and_the_rest_shown(url: str, masked: str) -> None:
    assert mask_password(url) == masked


@given(st.text(alphabet="abc:/?#@%[]&=", max_size=30))
def test_no_password_survives_masking(noise: str) -> None:
    for url in (f"postgresql://user:{noise}SECRET@host/db", f"postgresql://user:SECRET{noise}@host/db"):
        assert "SECRET" not in mask_password(url)


def test_what_a_command_needs_is_named(tmp_path: Path) -> None:
    got = Pipeline(load({"source_url": SOURCE}, environ={}, directory=tmp_path), utc_now)

    got.require("source")
    with pytest.raises(ConfigError, match="TIDEMARK_WAREHOUSE_URL is not set: set it, or give --warehouse-url"):
        got.require("source", "warehouse")
    with pytest.raises(ConfigError) as caught:
        Pipeline(Settings(), utc_now).require("source", "warehouse")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("text", ["a = ", "lag = 5s"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "tidemark.toml").write_text(text)

    with pytest.raises(ConfigError, match=r"tidemark\.toml is not TOML"):
        load({}, environ={}, directory=tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", timedelta()),
        ("500ms", timedelta(milliseconds=500)),
        ("5s", timedelta(seconds=5)),
        ("1.5s", timedelta(seconds=1.5)),
        ("1m", timedelta(minutes=1)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1h30m", timedelta(minutes=90)),
        (" 10m ", timedelta(minutes=10)),
    ],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", " ", "5", "s", "-5s", "5 parsecs", "5s!", "1e3s", "٣s", "9" * 30 + "d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="duration"):
        parse_duration(text)


def test_names_of_variables_and_flags() -> None:
    assert variable("source_url") == "TIDEMARK_SOURCE_URL"
    assert flag("source_url") == "--source-url"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-11-01", datetime(2024, 11, 1, tzinfo=UTC)),
        ("2024-11-01T12:30", datetime(2024, 11, 1, 12, 30, tzinfo=UTC)),
        ("2024-11-01T12:30+02:00", datetime(2024, 11, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_in_utc(text: str, expected: datetime) -> None:
    assert parse_moment(text) == expected


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a time such as 2024-11-01 .* got 'yesterday'"):
        parse_moment("yesterday")


def test_no_setting_has_the_character_zero(tmp_path: Path) -> None:
    (tmp_path / "tidemark.toml").write_text('model = "a\\u0000b"\n')

    with pytest.raises(ConfigError) as caught:
        load({"pointer": "\0"}, environ={}, directory=tmp_path)

    assert [each.partition(": expected a text without")[0] for each in caught.value.problems] == [
        "'model' in tidemark.toml",
        "--pointer",
    ]


def test_a_choice_is_true_or_false_and_in_the_file_also_without_quotes(tmp_path: Path) -> None:
    (tmp_path / "tidemark.toml").write_text("show_values = true\n")
    assert load({}, environ={}, directory=tmp_path).show_values
    with pytest.raises(ConfigError, match="--show-values: expected true or false, got 'yes'"):
        load({"show_values": "yes"}, environ={}, directory=tmp_path)


@pytest.mark.parametrize("text", ["256", "0MB", "-1GB", "half", "1 GB "])
def test_what_is_no_size_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--memory-limit: expected a size such as 256MB or 1GB"):
        load({"memory_limit": text}, environ={}, directory=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.com/s3cr3t",
        "ftp://hooks.example.com/s3cr3t",
        "file:///etc/s3cr3t",
        "https:///s3cr3t",
        "https://user:s3cr3t@hooks.example.com/",
        "https://hooks.example.com:s3cr3t/",
        "https://hooks.example.com/s3cr3t\nX: y",
        "https://hooks.example.com/ s3cr3t",
        "https://hooks.example.com/s3cr3té",
        "https://hooks.example.com/#s3cr3t",
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused_and_not_quoted(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected an address such as https") as caught:
        load({"webhook_url": url}, environ={}, directory=tmp_path)

    assert "s3cr3t" not in str(caught.value)


def test_the_address_of_a_webhook_is_never_shown(tmp_path: Path) -> None:
    got = load({"webhook_url": "https://hooks.example.com/s3cr3t"}, environ={}, directory=tmp_path)

    assert "hooks.example.com" not in f"{got} {got!r} {got.masked()}"


def test_no_freshness_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a duration above zero such as 30m, got '0s'"):
        load({"freshness": "0s"}, environ={}, directory=tmp_path)


@pytest.mark.parametrize(
    "engine",
    [
        "duckdb",
        "sail",
        "spark",
        "sc://spark.example:15002",
        "sc://10.0.0.7/;use_ssl=true",
        "sc://spark.example:443/;use_ssl=true;token=s3cr3t-t0ken;x-cluster-id=0123-456789-abc",
        "sc://spark.example/;token=s3cr3t%2Bt0ken;use_ssl=true;user_id=ann",
        "sc://localhost:15002/;token=s3cr3t-t0ken",
        "auto:1000000",
        "auto:1:spark",
        "auto:1000000:sc://spark.example:443/;use_ssl=true;token=s3cr3t-t0ken;x-cluster-id=0123-456789-abc",
    ],
)
def test_the_model_runs_on_any_of_these_engines(tmp_path: Path, engine: str) -> None:
    got = load({"engine": engine}, environ={}, directory=tmp_path)

    assert got.engine == engine
    assert "s3cr3t" not in f"{got} {got!r} {got.masked()}"
    assert "456789" not in repr(got)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("Sail", "got 'Sail'"),
        ("sc://", "got something else"),
        ("sc://user:s3cr3t@host", "got something else"),
        ("local[2]", "got something else"),
        ("sc://host\n", "got something else"),
        ("sc://host:99999", "expected a port up to 65535 in the address of the engine, got 99999"),
        # PySpark splits at these, or finds no options at all.
        ("sc://host/;use_ssl=true;token=s3cr3t/t0ken", "got something else"),
        ("sc://host/;use_ssl=true;token=s3cr3t-t0ken==", "got something else"),
        ("sc://host/;use_ssl=true;token=s3cr3t-t0ken#x", "got something else"),
        ("sc://host/s3cr3t;use_ssl=true", "got something else"),
        ("sc://host/;use_ssl=true;session_id=s3cr3t-t0ken", "got something else"),
        ("sc://host/;use_ssl=true;token=s3cr3t", "8 or more visible characters"),
        ("sc://host/;use_ssl=true;token=s3cr3t-t0ken%0a", "8 or more visible characters"),
        ("sc://host/;use_ssl=yes;token=s3cr3t-t0ken", "expected use_ssl=true or use_ssl=false"),
        ("sc://host/;token=s3cr3t-t0ken", "expected use_ssl=true beside the token"),
        ("sc://host/;use_ssl=true;token=s3cr3t-t0ken;use_ssl=false", "expected use_ssl=true beside the token"),
        ("sc://localhost.example/;token=s3cr3t-t0ken", "expected use_ssl=true beside the token"),
        ("auto:1000000:sc://host/;token=s3cr3t-t0ken", "expected use_ssl=true beside the token"),
        ("auto:", "got something else"),
        ("auto:0", "got something else"),
        ("auto:many", "got something else"),
        ("auto:1:duckdb", "got something else"),
        ("auto:1:auto:2", "got something else"),
        ("sc://host/;x-key=s3cr3t-t0ken", "expected use_ssl=true beside the token"),
    ],
)
def test_another_engine_and_a_token_that_others_could_read_are_refused_without_the_secret(
    tmp_path: Path, engine: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        load({"engine": engine}, environ={}, directory=tmp_path)

    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    ("engine", "found"),
    [
        ("sc://host:15002", (0, "sc://host:15002")),
        ("auto:1000000", (1_000_000, "sail")),
        ("auto:5:sc://host:15002/;use_ssl=true", (5, "sc://host:15002/;use_ssl=true")),
    ],
)
def test_an_engine_may_be_for_batches_from_so_many_changes_on(engine: str, found: tuple[int, str]) -> None:
    assert engine_from(engine) == found
