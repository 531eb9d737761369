"""The compose file, the Dockerfile, the settings and the documents agree. Nothing here needs an engine."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from config.data_dir import check_start
from config.settings import Settings
from stack.pollers import POLLED_WITHIN
from tests.hosting.compose_file import TEND, ComposeFile, Missing, Service, read, variables
from wire.keyring import KeyRing

Read = Callable[[str], str]
Rows = Callable[[str], list[list[str]]]

# What no container is told, and why.
NOT_PASSED_ON = {
    "TEND_DATA_DIR": "the image says where the volume of the sandbox carrier is",
    "TEND_TEMPORAL_API_KEY": "the Temporal beside it asks for none",
    "TEND_TEMPORAL_TLS_CERT": "the Temporal beside it asks for none",
    "TEND_TEMPORAL_TLS_KEY": "the Temporal beside it asks for none",
    "TEND_CONTINUE_AS_NEW_AFTER": "tests and drills only",
}


def settings_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TEND_{name.upper()}", raising=False)
    for key, value in service.environment.items():
        monkeypatch.setenv(key, value)
    return Settings(_env_file=None)


def test_every_setting_reaches_the_containers_that_need_it(production: ComposeFile, read: Read) -> None:
    real = {f"TEND_{name.upper()}" for name in Settings.model_fields}
    passed = {key for name in TEND for key in production.services[name].environment}
    assert passed <= real
    assert set(production.services["api"].environment) == set(production.services["worker"].environment)
    assert set(production.services["worker"].environment) == real - set(NOT_PASSED_ON)
    assert set(re.findall(r"\bTEND_[A-Z_]+\b", read("Dockerfile"))) == {"TEND_DATA_DIR"}


def test_no_part_is_told_what_it_needs_not(production: ComposeFile, production_env: dict[str, str]) -> None:
    told = {name: set(service.environment) for name, service in production.services.items()}
    assert told["migrate"] == {"TEND_ENVIRONMENT", "TEND_DATABASE_URL"}
    assert not told["sandbox"] & {"TEND_DATABASE_URL", "TEND_KEYS", "TEND_TEMPORAL_ADDRESS"}
    who_knows = {
        "DB_ADMIN_PASSWORD": {"postgres"},
        "DB_TEND_PASSWORD": {"postgres", "migrate", "api", "worker"},
        "DB_TEMPORAL_PASSWORD": {"postgres", "temporal-schema", "temporal"},
        "TEND_KEYS": {"api", "worker"},
    }
    for name, expected in who_knows.items():
        secret = production_env[name]
        known = {n for n, s in production.services.items() if secret in str(s.raw)}
        assert known == expected, name


def test_who_answers_people_has_the_processors_first(production: ComposeFile) -> None:
    """As `tend up` by `nice` 5. What has no shares keeps the kernel's weight of 100, and is not behind anybody."""
    lasting = [service for service in production.services.values() if service.raw.get("restart") == "unless-stopped"]
    shares = {service.name: service.raw["cpu_shares"] for service in lasting}
    ahead = {name for name, given in shares.items() if given == max(shares.values())}
    assert ahead == {"postgres", "api"}
    others = [_weight(given) for name, given in shares.items() if name not in ahead]
    assert _weight(max(shares.values())) / max(others) >= 2


def _weight(shares: int) -> float:
    """What runtimes make of shares, of 2 to 262144, under cgroup v2: a weight of 1 to 10000."""
    return 1 + (shares - 2) * 9999 / 262142


def test_nothing_secret_stands_in_the_file() -> None:
    for name, ways in variables().items():
        if re.search(r"PASSWORD|KEY|TOKEN", name):
            assert ways in ({":?"}, {":-"}), name
    text = (Path(__file__).resolve().parents[2] / "docker-compose.yml").read_text()
    assert re.findall(r"\$\{\w*(?:PASSWORD|KEY|KEYS|TOKEN)\w*:-[^}]+\}", text) == []


def test_what_is_missing_stops_the_start_by_its_name(
    production_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read(production_env)
    assert check_start(settings_of(file.services["worker"], monkeypatch)) == []
    assert check_start(settings_of(file.services["api"], monkeypatch)) == []
    for name in production_env:
        less = {key: value for key, value in production_env.items() if key != name}
        try:
            wrong = check_start(settings_of(read(less).services["worker"], monkeypatch))
        except Missing as error:
            assert str(error) == name
        else:
            assert any(line.startswith(name) for line in wrong), name


def test_production_never_runs_with_the_sandbox_and_nothing_less_is_the_default(
    production_env: dict[str, str], sandboxed_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = settings_of(read(production_env).services["api"], monkeypatch)
    assert (forgotten.environment.value, forgotten.carrier) == ("production", "live")
    mixed = read(sandboxed_env | {"TEND_ENVIRONMENT": "production"}).services["api"]
    assert "TEND_CARRIER is sandbox: set it to live" in check_start(settings_of(mixed, monkeypatch))
    tried = settings_of(read(sandboxed_env).services["worker"], monkeypatch)
    assert check_start(tried) == []
    assert (tried.environment.value, tried.carrier) == ("development", "sandbox")
    assert tried.keys is not None
    KeyRing.parse(tried.keys.get_secret_value())


def test_the_documents_name_what_the_file_asks_for(
    rows: Rows, sandboxed_env: dict[str, str], needed_live: dict[str, str]
) -> None:
    asked = variables()
    table = {name: row for row in rows("docs/hosting.md") for name in re.findall(r"`(\w+)`", row[0])}
    own = {name for name in asked if not name.startswith("TEND_")}
    needed = {name for name, ways in asked.items() if ":?" in ways}
    assert own <= set(table)
    assert needed <= set(sandboxed_env)
    assert {name for name in table if name.isupper() and "_" in name} <= set(asked) | {"COMPOSE_PROFILES"}
    assert {name for name, row in table.items() if row[1].startswith("needed")} == needed | set(needed_live)


def test_services_in_the_document_are_those_of_the_file(rows: Rows, production: ComposeFile) -> None:
    table = {name: row for row in rows("docs/hosting.md") for name in re.findall(r"`([\w-]+)`", row[0])}
    assert set(production.services) <= set(table)
    for name, service in production.services.items():
        published = [port.rsplit(":", 2)[:2] for port in service.raw.get("ports", [])]
        assert [f"http://{host}:{port}" in table[name][3] for host, port in published] == [True] * len(published), name
        assert bool(published) == ("http://" in table[name][3])


@pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="no docker-compose here; the file is read as Compose does above"
)
def test_compose_reads_the_file_as_we_do(sandboxed_env: dict[str, str], root: Path, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("".join(f"{key}={value}\n" for key, value in sandboxed_env.items()))
    clean = {"PATH": str(Path(shutil.which("docker-compose") or "").parent), "HOME": str(tmp_path)}

    def config(*more: str) -> subprocess.CompletedProcess[str]:
        line = ("docker-compose", "--project-directory", str(root), "--file", str(root / "docker-compose.yml"), *more)
        return subprocess.run(line, env=clean, capture_output=True, text=True, timeout=120, check=False)

    done = config("--env-file", str(file), "config")
    assert done.returncode == 0, done.stderr
    theirs = yaml.safe_load(done.stdout)["services"]
    ours = read(sandboxed_env).services
    assert set(theirs) == set(ours)
    for name, service in ours.items():
        assert {k: str(v or "") for k, v in theirs[name].get("environment", {}).items()} == service.environment, name
        if name in TEND:
            assert theirs[name]["command"] == service.command
    empty = tmp_path / "empty.env"
    empty.touch()
    refused = config("--env-file", str(empty), "config")
    assert refused.returncode != 0
    assert "DB_ADMIN_PASSWORD" in refused.stderr


def _block(text: str, title: str) -> list[str]:
    """The lines of the first block under this title."""
    found = re.search(r"```sh\n(.*?)```", text[text.index(f"### {title}\n") :], re.DOTALL)
    assert found
    return found[1].splitlines()


def test_how_a_dump_is_put_back_ends_with_the_step_that_lets_workers_send(read: Read) -> None:
    """Without it nothing is ever sent from a database that was put back."""
    text = read("docs/hosting.md")
    restore = text[text.index("pg_restore") :]
    assert "docker compose exec api tend rebuild --restored" in restore
    assert "Put back from a dump" in restore
    assert "## Put back from a dump" in read("docs/runbook.md")


def test_no_line_of_how_a_dump_is_put_back_is_run_after_one_that_failed(read: Read) -> None:
    """Half a database must not take in leads. What each line does tests/hosting/ tries."""
    lines = _block(read("docs/hosting.md"), "Put back from a dump")
    assert [line.endswith(" &&") for line in lines] == [True] * (len(lines) - 1) + [False]
    (restore,) = (line for line in lines if "pg_restore" in line)
    assert "--dbname=tend_new --exit-on-error" in restore
    renames = lines[lines.index(restore) + 1]
    assert "tend rename to tend_before; alter database tend_new rename to tend'" in renames
    assert lines[0].startswith("docker compose stop api worker")
    assert lines[-1] == "docker compose up -d"


def test_no_worker_runs_on_a_snapshot_that_was_not_compared(read: Read) -> None:
    assert _block(read("docs/hosting.md"), "Put back from a snapshot") == [
        "docker compose up -d --scale worker=0",
        "docker compose exec api tend rebuild --restored --note",
        "docker compose exec api tend rebuild --restored",
        "docker compose up -d",
    ]
    assert "start without workers" in read("docs/runbook.md")
    assert f"{POLLED_WITHIN.seconds} s" in read("docs/hosting.md")
