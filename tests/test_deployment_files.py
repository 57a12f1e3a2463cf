"""The files below docker/ are valid, restrict every container, and contain no secret."""

import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import monitoring
from tests.proxy import create_secrets
from tests.source_code import ROOT

DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
README = (DOCKER / "README.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"secrets", "migrate", "ready"}
SECRET = re.compile(
    r"""(?ix)
    (?:\b|_) (?:password|secret|token|key) \b \s* [:=] \s* ["']? [\w+/-]{12,}
    | \b requirepass \s+ [\w+/-]{12,}
    # In a URL.
    | :// [^\s/@]* : [\w+/-]{8,} @
    | BEGIN\ [A-Z ]*PRIVATE\ KEY
    """
)


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "docker"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_is_restricted(service: str) -> None:
    settings = SERVICES[service]
    assert settings["read_only"]
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["mem_limit"]
    assert settings["pids_limit"]
    assert "privileged" not in settings
    if service != "secrets":
        assert "cap_add" not in settings
        assert settings.get("user") != "0:0"


def test_no_log_fills_the_disk() -> None:
    for service in SERVICES.values():
        assert service["logging"]["options"] == {"max-size": "50m", "max-file": "10"}


def test_the_health_check_of_the_proxy_asks_for_a_host_that_is_allowed() -> None:
    hosts = SERVICES["web"]["environment"]["ALLOWED_HOSTS"]
    # The first one is that of links in mails.
    assert hosts == "${ALLOWED_HOSTS:-localhost},localhost"
    (url,) = [one for one in SERVICES["proxy"]["healthcheck"]["test"] if "://" in one]
    assert url.startswith("https://localhost:8443/")


def test_migrations_run_once_before_every_process() -> None:
    for name in ("web", "worker", "beat"):
        needed = SERVICES[name]["depends_on"]
        assert needed["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["restart"] == "no"


def test_every_lasting_container_of_another_image_has_a_health_check() -> None:
    others = {name for name, service in SERVICES.items() if service["image"] != "device-sessions"}
    assert others == {"postgresql", "valkey", "proxy", "mail"}
    assert [name for name in others if "test" not in SERVICES[name]["healthcheck"]] == []
    assert "HEALTHCHECK" in (DOCKER / "Dockerfile").read_text()


def test_no_port_is_published_to_other_machines_unless_asked() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports.pop("proxy") == ["${PUBLISH:-127.0.0.1:8443}:8443"]
    assert all(port.startswith("127.0.0.1:") for published in ports.values() for port in published)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("password: hunter2hunter2", True),
        ("SECRET_KEY_FILE: /secrets/app/secret-key", False),
        ("POSTGRES_PASSWORD: hunter2hunter2", True),
        ("SECRET_KEY: 5up3rs3cr3tvalue00", True),
        ("DATABASE_URL: postgres://app:hunter2hunter2@db/app", True),
        ("requirepass hunter2hunter2", True),
        ("-----BEGIN EC PRIVATE KEY-----", True),
        ("requirepass $broker", False),
        ("postgres://app:$database@postgresql/app", False),
    ],
)
def test_the_rule_on_secrets_sees_them(text: str, found: bool) -> None:
    assert bool(SECRET.search(text)) == found


def test_no_file_contains_a_secret() -> None:
    found = {path.name: SECRET.findall(path.read_text()) for path in files()}
    assert {name: secrets for name, secrets in found.items() if secrets} == {}


def contents(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def public(directory: Path) -> set[str]:
    return {name for name in contents(directory) if (directory / name).stat().st_mode & 0o077}


def test_secrets_are_made_once_and_for_their_reader_alone(tmp_path: Path) -> None:
    create_secrets(tmp_path)
    made = contents(tmp_path)
    create_secrets(tmp_path)
    assert contents(tmp_path) == made
    assert public(tmp_path) == {"ca.pem"}
    assert len((tmp_path / "app" / "secret-key").read_text()) >= 50
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert len(context.get_ca_certs()) == 1


def test_certificates_are_renewed_and_passwords_and_keys_stay(tmp_path: Path) -> None:
    create_secrets(tmp_path)
    made = contents(tmp_path)
    create_secrets(tmp_path, "renew")
    renewed = contents(tmp_path)
    servers = {"proxy": "localhost", "postgresql": "postgresql", "valkey": "valkey"}
    changed = {f"{name}/{part}.pem" for name in servers for part in ("cert", "key")} | {"ca.pem"}
    assert {name for name in made if made[name] != renewed[name]} == changed
    assert renewed.keys() == made.keys()
    assert public(tmp_path) == {"ca.pem"}
    for name, host in servers.items():
        certificate, key = (tmp_path / name / f"{part}.pem" for part in ("cert", "key"))
        # Fails unless the key is that of the certificate.
        ssl.create_default_context().load_cert_chain(certificate, key)
        verify = ["openssl", "verify", "-CAfile", str(tmp_path / "ca.pem"), "-verify_hostname"]
        subprocess.run([*verify, host, str(certificate)], check=True)


def test_a_misspelled_argument_changes_no_secret(tmp_path: Path) -> None:
    create_secrets(tmp_path)
    made = contents(tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        create_secrets(tmp_path, "renwe")
    assert contents(tmp_path) == made


def rendered(directory: Path) -> str:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    version = [kubectl, "version", "--client", "--output", "json"]
    client = subprocess.run(version, capture_output=True, text=True, check=False).stdout
    major = re.search(r'"kustomizeVersion": "v(\d+)\.', client)
    if major is None or int(major[1]) < 5:
        pytest.skip("kubectl has no kustomize 5: it is older than 1.27")
    command = [kubectl, "kustomize", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def with_cronjobs(tmp_path: Path) -> Path:
    """Return a deployment like the example, with the alternative to worker and beat."""
    directory = tmp_path / "deployment"
    directory.mkdir()
    base, cronjobs = (
        os.path.relpath(KUBERNETES / name, directory) for name in ("base", "cronjobs")
    )
    parts = {"resources": [base], "components": [cronjobs]}
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(parts))
    return directory


@pytest.fixture(params=["base", "example", "cronjobs"])
def deployment(request: pytest.FixtureRequest, with_cronjobs: Path) -> Path:
    return with_cronjobs if request.param == "cronjobs" else KUBERNETES / request.param


def test_the_manifests_match_the_schemas_of_kubernetes(tmp_path: Path, deployment: Path) -> None:
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(rendered(deployment))
    validator = [program("kubernetes-validate"), "--strict", "--quiet", str(manifests)]
    result = subprocess.run(validator, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def pods(node: Any) -> list[dict[str, Any]]:
    """Return the specifications of pods in a document, however deep."""
    if isinstance(node, list):
        return [pod for inner in node for pod in pods(inner)]
    if not isinstance(node, dict):
        return []
    own = [node] if "containers" in node else []
    return own + [pod for inner in node.values() for pod in pods(inner)]


def test_every_pod_is_restricted(deployment: Path) -> None:
    found = pods(list(yaml.safe_load_all(rendered(deployment))))
    # web, shell, migrate, and worker and beat or two CronJobs.
    assert len(found) == 5
    for pod in found:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])
            assert "env" not in container


def documents(directory: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rendered documents by kind and name."""
    found = yaml.safe_load_all(rendered(directory))
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def test_the_example_has_worker_and_beat_whose_metrics_the_alerts_read() -> None:
    kinds = {kind for kind, _ in documents(KUBERNETES / "example")}
    assert "CronJob" not in kinds
    assert {("Deployment", "beat"), ("Deployment", "worker"), ("Deployment", "web")} <= set(
        documents(KUBERNETES / "example")
    )


def test_the_alternative_to_beat_starts_the_tasks_of_beat(with_cronjobs: Path) -> None:
    found = documents(with_cronjobs)
    assert {("CronJob", "sweep"), ("CronJob", "notifications"), ("Deployment", "web")} <= set(found)
    assert not {("Deployment", "beat"), ("Deployment", "worker")} & set(found)
    for name, command in (("sweep", "sweep"), ("notifications", "send_notifications")):
        (pod,) = pods(found["CronJob", name])
        assert [one["args"] for one in pod["containers"]] == [["python", "manage.py", command]]
    assert "components: [../cronjobs]" in README


def test_commands_for_people_on_call_name_what_exists(with_cronjobs: Path) -> None:
    section = README.partition("\n## On call\n")[2]
    named = set(re.findall(r"deployment/([a-z]+)", section))
    for names in re.findall(r"kubectl (?:scale|rollout status) deployment ([a-z ]+)", section):
        named |= set(names.split())
    deployments = {name for kind, name in documents(KUBERNETES / "example") if kind == "Deployment"}
    assert named == deployments
    assert ("Deployment", "shell") in documents(with_cronjobs)
    assert documents(KUBERNETES / "base")["Deployment", "shell"]["spec"]["replicas"] == 0


def test_the_keys_of_the_secret_are_where_a_reader_looks_for_them() -> None:
    text = (KUBERNETES / "base" / "kustomization.yaml").read_text()
    assert "`base/kustomization.yaml` names its keys" in " ".join(README.split())
    used = set(re.findall(r"_FILE=/secrets/([a-z-]+)", text))
    assert used == {"database-url", "redis-url", "secret-key", "email-url"}
    comment, _, _ = text.partition("configMapGenerator")
    assert all(key in comment for key in used)


def test_the_alerts_to_remove_with_cronjobs_exist() -> None:
    sentence = README.partition("so remove the alerts ")[2].partition(".")[0]
    listed = set(re.findall(r"`(\w+)`", sentence))
    assert listed == {"BeatSilent", "TaskFailing", "NotificationDropped"}
    assert listed <= {alert["alert"] for alert in monitoring.alerts()}


def test_a_pod_that_starts_in_an_outage_is_not_killed() -> None:
    found = documents(KUBERNETES / "base")
    for name in ("web", "worker", "beat"):
        (pod,) = pods(found["Deployment", name])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert pod["containers"][0][probe]["httpGet"]["path"] == "/health/live"


def test_a_release_applies_what_the_migrations_need_first() -> None:
    parts = {"settings", "migrate"}
    label = "app.kubernetes.io/component"
    first = {
        (kind, name.partition("sessions-")[0])
        for (kind, name), one in documents(KUBERNETES / "example").items()
        if one["metadata"].get("labels", {}).get(label) in parts
    }
    assert first == {
        ("Job", "migrate"),
        ("ConfigMap", "device-"),
        ("ServiceAccount", "device-sessions"),
        # Where a policy denies everything else, the Job could not reach the database.
        ("NetworkPolicy", "device-sessions"),
    }


def test_a_failed_command_of_a_release_ends_it() -> None:
    block = README.partition("```sh\nkubectl delete job")[2].partition("```")[0]
    *commands, last = block.strip().splitlines()
    assert all(command.endswith(" &&") for command in commands)
    # The template of a Job cannot change, so that of the last release goes first.
    assert [command.split()[:2] for command in commands] == [
        ["migrate", "--ignore-not-found"],
        ["kubectl", "apply"],
        ["kubectl", "wait"],
    ]
    assert "--selector 'app.kubernetes.io/component in (settings, migrate)'" in commands[1]
    assert last == "kubectl apply --kustomize PATH"


def test_changed_settings_restart_the_pods_and_keep_those_of_the_old_version(
    tmp_path: Path,
) -> None:
    changed = tmp_path / "deployment"
    changed.mkdir()
    settings = {"name": "device-sessions", "behavior": "merge", "literals": ["NUM_PROXIES=2"]}
    parts = {
        "resources": [os.path.relpath(KUBERNETES / "base", changed)],
        "configMapGenerator": [settings],
    }
    (changed / "kustomization.yaml").write_text(yaml.safe_dump(parts))
    found = [documents(directory) for directory in (KUBERNETES / "base", changed)]
    names = [name for one in found for kind, name in one if kind == "ConfigMap"]
    assert len(set(names)) == 2
    for one, name in zip(found, names, strict=True):
        for pod in pods(list(one.values())):
            assert pod["containers"][0]["envFrom"] == [{"configMapRef": {"name": name}}]


def test_the_ingress_has_only_annotations_of_the_documentation_of_its_controller() -> None:
    found = [
        one for (kind, _), one in documents(KUBERNETES / "example").items() if kind == "Ingress"
    ]
    names = {name for one in found for name in one["metadata"]["annotations"]}
    prefix = "nginx.ingress.kubernetes.io/"
    assert {name.removeprefix(prefix) for name in names} <= {
        "limit-connections",
        "limit-rps",
        "proxy-body-size",
        "proxy-connect-timeout",
        "proxy-next-upstream",
        "proxy-next-upstream-timeout",
        "proxy-next-upstream-tries",
        "proxy-read-timeout",
        "ssl-redirect",
    }


def test_the_ingress_repeats_a_refresh_on_another_node_and_no_other_request() -> None:
    found = documents(KUBERNETES / "example")
    paths = {
        path["path"]: one["metadata"]["annotations"][
            "nginx.ingress.kubernetes.io/proxy-next-upstream"
        ]
        for (kind, _), one in found.items()
        if kind == "Ingress"
        for path in one["spec"]["rules"][0]["http"]["paths"]
    }
    assert paths == {"/": "error timeout", "/users/token": "error timeout non_idempotent"}


def test_pods_reach_servers_and_sentinels() -> None:
    policy = documents(KUBERNETES / "base")["NetworkPolicy", "device-sessions"]
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, 5432, 6432, 6379, 26379, 587}
