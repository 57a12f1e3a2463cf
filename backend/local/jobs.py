"""The Celery worker and beat: wait for the broker and the web server, then become Celery."""

import sys

from redis import Redis, RedisError

from backend.local import ports
from backend.local.launch import PATIENCE, become_python, launcher, wait_until
from backend.local.place import env

ARGUMENTS = {
    # There is no other worker to look for.
    "worker": ["worker", "--concurrency=1", "--loglevel=INFO", "--without-mingle"],
    # Without a pidfile: one left behind by a killed beat would stop the next start.
    "beat": ["beat", "--pidfile=", "--loglevel=INFO"],
}


@launcher
def main() -> None:
    broker = Redis.from_url(env.str("REDIS_URL"))
    wait_until(broker.ping, refusal=RedisError, who="The broker")
    broker.close()
    # Where the web server listens, the tables are there too. It may itself have to wait for the
    # database, and is the one to say so.
    wait_until(
        lambda: ports.probe(env.int("PORT")),
        refusal=OSError,
        who="The web server",
        patience=2 * PATIENCE,
    )
    become_python("celery", "--app=backend.celery", *ARGUMENTS[sys.argv[1]])


if __name__ == "__main__":
    main()
