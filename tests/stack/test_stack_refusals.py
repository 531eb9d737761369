"""A start that cannot be: one clear line on stderr, an exit code that is not 0, nothing touched."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from config.data_dir import DataDir
from stack.carrier import ensure_credentials
from stack.preflight import StartError, UsageError, check_personas
from stack.up import Options, Stack
from tests.stack.conftest import ROOT
from wire.keyring import KeyRing


def tend(*words: str, **env: str) -> tuple[int, str]:
    """Exit code and what was said on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def one_line(text: str) -> str:
    assert len(text.strip().splitlines()) == 1, text
    return text.strip()


def contents(path: Path) -> set[str]:
    return {str(p.relative_to(path)) for p in path.rglob("*")}


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = tend("up", "--data-dir", str(tmp_path / "d"), "--port", str(port))
    assert code == 1
    assert one_line(said) == (
        f"tend: port {port} on 127.0.0.1 is taken by another program: stop it, or give another --port"
    )
    assert contents(tmp_path / "d") <= {"logs", "sandbox", "up.lock"}


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        code, said = tend("up", "--data-dir", str(path), "--port", "0")
        assert code == 1
        assert f"--data-dir {path} cannot be written" in one_line(said)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_second_up_on_the_same_directory(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text("{}")
    with FileLock(tmp_path / "up.lock"):
        code, said = tend("up", "--data-dir", str(tmp_path), "--port", "0")
    assert code == 1
    assert f"another `tend up` is running on {tmp_path}" in one_line(said)
    assert (tmp_path / "endpoints.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://tend:hidden-word@127.0.0.1:1/tend", "no database at 127.0.0.1:1/tend"),
        ("mysql://tend:hidden-word@127.0.0.1/tend", "TEND_DATABASE_URL is no address"),
        ("hidden-word", "TEND_DATABASE_URL is no address"),
    ],
)
def test_a_wrong_database_address(tmp_path: Path, url: str, expected: str) -> None:
    code, said = tend("up", "--data-dir", str(tmp_path / "d"), "--port", "0", TEND_DATABASE_URL=url)
    assert code == 1
    assert expected in one_line(said)
    assert "hidden-word" not in said
    assert contents(tmp_path / "d") <= {"logs", "sandbox", "up.lock"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"TEND_TEMPORAL_ADDRESS": "127.0.0.1:1"},
            "no Temporal at 127.0.0.1:1 (nobody answers, or it is no Temporal): correct",
        ),
        ({"TEND_TEMPORAL_ADDRESS": "http://127.0.0.1:7233"}, "settings: TEND_TEMPORAL_ADDRESS: "),
        ({"TEND_TEMPORAL_TLS_CERT": "/nowhere/cert.pem"}, "TEND_TEMPORAL_TLS_CERT names a file that cannot be read"),
        ({"TEND_DEPLOYMENT_NAME": "tend"}, "TEND_BUILD_ID is not set, and the other half is: set both, or neither"),
        ({"TEND_BUILD_ID": "0.2.0"}, "TEND_DEPLOYMENT_NAME is not set, and the other half is: set both, or neither"),
        ({"TEND_DEPLOYMENT_NAME": "a.b", "TEND_BUILD_ID": "1"}, "settings: TEND_DEPLOYMENT_NAME: "),
    ],
)
def test_a_wrong_way_to_temporal(tmp_path: Path, more: dict[str, str], expected: str) -> None:
    code, said = tend("up", "--data-dir", str(tmp_path / "d"), "--port", "0", **more)
    assert code == 1
    assert expected in one_line(said)
    assert not (tmp_path / "d" / "postgres").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALL_LEASE", "nan"),
        ("CALL_LEASE", "-5"),
        ("EMAIL_FROM", "hidden-word"),
        ("TWILIO_FROM", "hidden-word"),
        ("PUBLIC_URL", "hidden-word"),
        ("TWILIO_BASE_URL", "hidden-word"),
        ("SENDGRID_BASE_URL", "hidden-word"),
        ("CONTINUE_AS_NEW_AFTER", "0"),
    ],
)
def test_a_setting_without_sense_is_named(tmp_path: Path, name: str, value: str) -> None:
    code, said = tend("up", "--data-dir", str(tmp_path / "d"), "--port", "0", **{f"TEND_{name}": value})
    assert code == 1
    assert one_line(said).startswith(f"tend: settings: TEND_{name}: ")
    assert "hidden-word" not in said
    assert not (tmp_path / "d").exists()


def test_a_worker_without_its_servers_says_so_in_one_line(tmp_path: Path) -> None:
    away = {"TEND_DATABASE_URL": "postgresql://tend:hidden-word@127.0.0.1:1/tend", "TEND_KEYS": KeyRing.make()}
    ensure_credentials(DataDir(tmp_path))
    for verb in (("worker",), ("migrate",)):
        code, said = tend(*verb, "--data-dir", str(tmp_path), TEND_TEMPORAL_ADDRESS="127.0.0.1:1", **away)
        assert code == 1
        assert "the database does not answer" in one_line(said)
        assert "hidden-word" not in said


def test_a_part_that_starts_before_its_sandbox_carrier_ever_did_says_so(tmp_path: Path) -> None:
    told = {"TEND_DATABASE_URL": "postgresql://tend:hidden-word@127.0.0.1:1/tend", "TEND_KEYS": KeyRing.make()}
    for verb in ("worker", "api"):
        code, said = tend(verb, "--data-dir", str(tmp_path), TEND_TEMPORAL_ADDRESS="127.0.0.1:1", **told)
        assert code == 1
        assert "start `tend sandbox` on the same data directory first" in one_line(said)


def test_a_host_of_no_name(tmp_path: Path) -> None:
    code, said = tend("up", "--data-dir", str(tmp_path / "d"), "--host", "nonsense..x")
    assert code == 1
    assert "--host nonsense..x: this machine cannot listen there" in one_line(said)


def test_a_directory_of_no_name(tmp_path: Path) -> None:
    code, said = tend("up", "--data-dir", "", "--port", "0")
    assert code == 2
    assert "is empty: give a directory" in said


def test_the_sandbox_alone_is_given_a_port(tmp_path: Path) -> None:
    code, said = tend("sandbox", "--data-dir", str(tmp_path), "--port", "99999")
    assert code == 2
    assert "--port 99999: give a number from 1 to 65535" in one_line(said)


def test_keys_that_were_lost(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    code, said = tend("up", "--data-dir", str(tmp_path), "--port", "0")
    assert code == 1
    assert "put the file back, or set TEND_KEYS" in one_line(said)
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--clock", "soon"), "--clock 'soon': use now"),
        (("--pace", "-3"), "must be above 0"),
        (("--workers", "0"), "--workers 0: give a number from 1 to 64"),
        (("--personas", "nobody"), "--personas 'nobody': use none, or some of"),
        (("--port", "70000"), "--port 70000: give a number"),
        (("--clock", "9999-12-31T23:59:59Z"), "give a time between 1971 and 2199"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    code, said = tend("up", "--data-dir", str(tmp_path / "d"), *words)
    assert code == 2
    assert expected in one_line(said)


def test_a_setting_that_cannot_be_is_named_without_its_value(tmp_path: Path) -> None:
    code, said = tend("up", "--data-dir", str(tmp_path / "d"), TEND_CARRIER="hidden-word")
    assert code == 1
    assert one_line(said).startswith("tend: settings: TEND_CARRIER: ")
    assert "hidden-word" not in said


def test_production_says_all_that_is_missing(tmp_path: Path) -> None:
    code, said = tend("up", "--data-dir", str(tmp_path / "d"), TEND_ENVIRONMENT="production")
    assert code == 1
    missing = set(re.findall(r"TEND_[A-Z_]+", one_line(said)))
    assert missing == {
        "TEND_KEYS",
        "TEND_DATABASE_URL",
        "TEND_TEMPORAL_ADDRESS",
        "TEND_CARRIER",
        "TEND_ORGANIZATION",
        "TEND_EMAIL_FROM",
        "TEND_POSTAL_ADDRESS",
        "TEND_PUBLIC_URL",
    }
    assert not (tmp_path / "d").exists()


def test_verbs_without_a_stack_say_what_is_missing(tmp_path: Path) -> None:
    for verb in ("worker", "api"):
        code, said = tend(verb, "--data-dir", str(tmp_path))
        assert code == 1
        assert "TEND_DATABASE_URL is not set, and no `tend up` is running" in one_line(said)
    assert tend("migrate", "--data-dir", str(tmp_path))[0] == 1


def test_the_live_carrier_has_no_personas_and_no_virtual_clock(
    monkeypatch: pytest.MonkeyPatch, directory: DataDir
) -> None:
    monkeypatch.setenv("TEND_CARRIER", "live")
    with pytest.raises(UsageError, match="--personas need the sandbox carrier"):
        Stack(Options(data_dir=directory.path, personas="eager"))


@pytest.mark.parametrize("text", ["none,eager", "stranger"])
def test_personas_are_known_names(text: str) -> None:
    with pytest.raises(StartError):
        check_personas(text, frozenset({"eager", "slow"}))
    assert check_personas("eager, slow", frozenset({"eager", "slow"})) == ("eager", "slow")
    assert check_personas("none", frozenset({"eager"})) == ()
