"""The commands that the process of a project accepts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from rest_framework_simplejwt.tokens import AccessToken

from tests.benchmarks import names
from tests.benchmarks.operations import Operation, Site, bearer, check
from tests.benchmarks.users import new_users

if TYPE_CHECKING:
    from tests.benchmarks.systems import System


class Commands:
    """The commands; each takes and returns JSON."""

    def __init__(self, project: str) -> None:
        module = import_module(f"tests.benchmarks.systems.{project}")
        self.systems: dict[str, System] = module.systems()
        yardstick = {names.AUTHENTICATE: yardstick_of(next(new_users()))}
        self.measured = self.systems | {names.YARDSTICK: yardstick}

    def stock(self, operation: str, count: int) -> bool:
        """Make what so many calls of an operation need, and say whether any system has it."""
        able = [system for system in self.systems.values() if operation in system]
        for system in able:
            system[operation].stock(count)
        return bool(able)

    def turn(self, operation: str, number: int) -> dict[str, list[int]]:
        """Let each system take a turn, in another order each time; return the times, in ns."""
        able = [name for name, system in self.measured.items() if operation in system]
        first = number % len(able)
        order = [*able[first:], *able[:first]]
        return {name: self.measured[name][operation].take_turn() for name in order}

    def statements(self, operation: str) -> dict[str, int]:
        """Return how many statements one call of each system sends."""
        counts = {}
        for name, system in self.systems.items():
            if operation in system:
                # Sessions used long ago would count a renewal, which is due once a minute.
                system[operation].stock(1)
                counts[name] = system[operation].count_statements()
        return counts


def yardstick_of(user: User) -> Operation:
    """Return a request of SimpleJWT's without middleware: the same code in every process."""
    site = Site(MIDDLEWARE=())
    token: Any = AccessToken.for_user(user)
    return Operation(
        lambda: site.request("GET", "/yardstick/", authorization=bearer(str(token))), check
    )
