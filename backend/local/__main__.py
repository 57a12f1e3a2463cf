"""The commands of the local stack: `python -m backend.local run`, and the same with `demo`."""

import sys

from environs import EnvError

from backend.local import demo, runner
from backend.local.errors import StackError

COMMANDS = {"run": runner.run, "demo": demo.run}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:  # noqa: PLR2004  the command and its name
        print(f"usage: python -m backend.local {{{','.join(COMMANDS)}}}", file=sys.stderr)
        return 2
    try:
        return COMMANDS[sys.argv[1]]()
    except (StackError, EnvError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


# Where processes are spawned and not forked, honcho's import this module once more.
if __name__ == "__main__":
    sys.exit(main())
