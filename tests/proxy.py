"""A real nginx with the configuration of docker/compose.yaml, on loopback."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import create_default_context

import httpx
import pytest

from tests.ports import HOST, free_port, listens
from tests.web_server import ROOT, until

CONFIGURATION = ROOT / "docker" / "proxy" / "nginx.conf"


def create_secrets(directory: Path, *arguments: str) -> None:
    """Run the script that makes the secrets of docker/compose.yaml, all for this user."""
    names = ("APP_USER", "POSTGRESQL_USER", "VALKEY_USER", "PROXY_USER")
    own = dict.fromkeys(names, str(os.getuid()))
    environment = {"PATH": os.environ["PATH"], "SECRETS": str(directory), **own}
    script = str(ROOT / "docker" / "create-secrets")
    subprocess.run([script, *arguments], env=environment, check=True)


@contextmanager
def proxy(directory: Path, *nodes: str, **changes: str) -> Iterator[httpx.Client]:
    """Run nginx in front of nodes for a block; yields a client that verifies its certificate."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    secrets = directory / "secrets"
    secrets.mkdir()
    create_secrets(secrets)
    port = free_port()
    text = CONFIGURATION.read_text().replace("/tmp/", f"{directory}/")
    text = text.replace("/secrets/", f"{secrets}/").replace("listen 8443", f"listen {HOST}:{port}")
    # Older versions, such as that of Debian 12, cannot resolve a name again.
    servers = " ".join(f"server {node};" for node in nodes)
    text = text.replace("server web:8000 resolve max_fails=1 fail_timeout=2s;", servers)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    # As root, its workers would be another user, who cannot read the directory.
    text = text if os.getuid() else f"user root;\n{text}"
    (directory / "nginx.conf").write_text(text.replace("/dev/stdout", f"{directory}/access.log"))
    command = [nginx, "-e", "stderr", "-c", str(directory / "nginx.conf"), "-g", "daemon off;"]
    with subprocess.Popen(command) as process:
        try:
            assert until(lambda: listens(port), seconds=10)
            context = create_default_context(cafile=str(secrets / "ca.pem"))
            with httpx.Client(base_url=f"https://localhost:{port}", verify=context) as client:
                yield client
        finally:
            process.terminate()
