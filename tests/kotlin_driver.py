"""Programs in Kotlin that drive docs/clients/Session.kt, with the OkHttp that a test names."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.app_process import Compiled
from tests.node_driver import CLIENTS
from tests.web_server import ROOT

KOTLIN = CLIENTS / "kotlin"
PACKAGES = KOTLIN / "node_modules"
KOTLIN_LIB = PACKAGES / "kotlin-compiler" / "lib"
COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
# org.json as Android has it.
JSON = Path("/usr/share/java/com.android.json.jar")

needs_kotlin = pytest.mark.skipif(
    not (shutil.which("java") and JSON.is_file() and PACKAGES.is_dir()),
    reason="apt-get install default-jre-headless libandroid-json-java, then make soak",
)


def compile_kotlin(directory: Path, okhttp: str) -> Compiled:
    """Compile the app against the OkHttp of a package, such as "okhttp-5"; a warning fails."""
    libraries = PACKAGES / okhttp / "dist" / "plugins" / "jira-plugin" / "lib"
    jars = [*libraries.glob("okhttp-*.jar"), *libraries.glob("okio-*.jar"), JSON]
    classpath = os.pathsep.join(map(str, jars))
    compiler = ("-cp", KOTLIN_LIB / "kotlin-compiler.jar", COMPILER)
    sources = (ROOT / "docs" / "clients" / "Session.kt", KOTLIN / "App.kt")
    options = ("-Werror", "-no-reflect", "-cp", classpath, "-d", directory)
    subprocess.run(("java", *compiler, *options, *sources), check=True)
    running = os.pathsep.join([str(directory), str(KOTLIN_LIB / "kotlin-stdlib.jar"), classpath])
    # Compiled once only: a process here lives for seconds.
    return Compiled(("java", "-XX:TieredStopAtLevel=1", "-cp", running, "AppKt"))
