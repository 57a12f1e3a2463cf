"""What two workers and two beats did, from their logs and the mail that they sent."""

import re
from collections import Counter
from pathlib import Path

MESSAGE_ID = re.compile(r"^Message-ID: *\n? *(<[^>]+>)", re.MULTILINE | re.IGNORECASE)


def count_background_work(directory: Path) -> dict[str, int]:
    """Return how many sweeps ran and how many met another one, and how often a mail was sent."""
    logs = "".join(path.read_text(errors="replace") for path in directory.glob("worker-*.log"))
    beats = "".join(path.read_text(errors="replace") for path in directory.glob("beat-*.log"))
    mails = Counter(
        found[1]
        for path in (directory / "mail").iterdir()
        for text in [path.read_text()]
        for found in MESSAGE_ID.finditer(text)
    )
    return {
        "sweeps sent by the beats": beats.count("Sending due task sweep"),
        "sweeps carried out": len(re.findall(r"sweep: \d+ sessions", logs)),
        "sweeps that met another one": logs.count("sweep: another one is running"),
        "mails": len(mails),
        "mails sent twice": sum(count - 1 for count in mails.values()),
    }
