"""The embedded PostgreSQL: it starts anywhere, and nothing of it stays."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tidemark.embedded import EmbeddedServer
from tidemark.errors import ConfigError


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not below pytest's own: as root, another pytest that starts closes that to the user that the server runs as.
    with tempfile.TemporaryDirectory(prefix="tidemark-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="tidemark-") as name, EmbeddedServer(name) as running:
        yield running


def one(url: str, query: str = "select current_database()") -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row and row[0]


def run_python(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", script, str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)  # noqa: S603 -- our interpreter


def test_it_answers_under_the_url_of_a_database(server: EmbeddedServer) -> None:
    server.create_database("totesys")
    server.create_database("totesys")
    assert server.is_running
    assert one(server.url("totesys")) == "totesys"


def test_a_database_name_may_hold_any_character(server: EmbeddedServer) -> None:
    name = "a b'c/d%e\"f?g"
    server.create_database(name)
    assert one(server.url(name)) == name


def test_a_database_that_exists_is_not_created_again_when_told_so(server: EmbeddedServer) -> None:
    server.create_database("twice")
    with pytest.raises(ConfigError, match="'twice' exists already"):
        server.create_database("twice", if_missing=False)


def test_a_database_can_be_copied(server: EmbeddedServer) -> None:
    server.create_database("original")
    with psycopg.connect(server.url("original")) as connection:
        connection.execute("create table here as select 42 as answer")
    server.create_database("copied", template="original")
    assert one(server.url("copied"), "select answer from here") == 42


def test_the_psql_command_can_be_pasted_into_a_shell(server: EmbeddedServer) -> None:
    server.create_database("it's pasted")
    command = server.psql_command("it's pasted") + " -Atc 'select current_database()'"
    got = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)  # noqa: S602 -- that is the point
    assert (got.stdout, got.stderr) == ("it's pasted\n", "")


def test_psql_takes_the_url(server: EmbeddedServer) -> None:
    command = [str(server.psql_path), server.url("postgres"), "-Atc", "select 1"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "1\n"  # noqa: S603 -- our own psql


def test_two_handles_share_one_server_and_the_second_leaves_it_running(server: EmbeddedServer) -> None:
    with EmbeddedServer(server.directory) as second:
        assert one(second.url("postgres")) == "postgres"
    assert server.is_running


def test_it_keeps_its_rows_over_a_restart_and_stops_when_told(folder: Path) -> None:
    server = EmbeddedServer(folder / "server")
    assert not server.is_running
    server.start()
    server.start()
    server.create_database("kept")
    server.stop()
    server.stop()
    assert not server.is_running
    with server:
        assert one(server.url("kept")) == "kept"
    assert not server.is_running


def test_a_path_too_long_for_a_socket_or_with_blanks_is_no_obstacle(folder: Path) -> None:
    with EmbeddedServer(folder / ("it's, a " + "long " * 20) / "server") as server:
        assert one(server.url("postgres")) == "postgres"
        socket_directory = Path(server.psql_command("postgres").split(" -h ")[1].split(" ")[0])
        assert socket_directory.is_dir()
    assert not socket_directory.exists()


def test_a_path_that_a_shell_would_rewrite_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="cannot live in"):
        EmbeddedServer(folder / "$HOME").start()


def test_a_path_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(ConfigError, match="needs a directory of its own"):
        EmbeddedServer(folder / "file").start()


def test_a_pid_file_that_names_another_process_is_no_obstacle(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        pid_path = folder / "pgdata" / "postmaster.pid"
        lines = pid_path.read_text(encoding="utf-8").splitlines()
    pid_path.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n", encoding="utf-8")
    assert not server.is_running
    with server:
        assert one(server.url("postgres")) == "postgres"


def test_an_unfinished_first_start_is_begun_again(folder: Path) -> None:
    for name in ("pgdata", "pgdata.new"):
        (folder / name).mkdir()
        (folder / name / "leftover").touch()
    with EmbeddedServer(folder) as server:
        assert one(server.url("postgres")) == "postgres"


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with EmbeddedServer(folder) as server:
        pass
    with (folder / "pgdata" / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(ConfigError, match="no_such_setting"):
        server.start()


def test_it_is_gone_and_silent_when_the_interpreter_exits(folder: Path) -> None:
    script = "import sys; from tidemark.embedded import EmbeddedServer; EmbeddedServer(sys.argv[1]).start()"
    done = run_python(script, folder)
    assert (done.stdout, done.stderr) == ("", "")
    assert not EmbeddedServer(folder).is_running


def test_it_outlives_the_interpreter_when_it_is_to_be_kept(folder: Path) -> None:
    script = """if True:
        import sys
        from tidemark.embedded import EmbeddedServer
        with EmbeddedServer(sys.argv[1], keep=True): pass
    """
    done = run_python(script, folder)
    server = EmbeddedServer(folder)
    try:
        assert server.is_running
        assert one(server.url("postgres")) == "postgres"
        assert done.stderr == ""
    finally:
        server.stop()
    assert not server.is_running
