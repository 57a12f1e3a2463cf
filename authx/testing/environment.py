"""What keeps these helpers out of production."""

from django.test import utils


def require_test_environment() -> None:
    """Raise RuntimeError unless a test runner has set Django up for tests.

    No setting says so: it would be possible to leave that on.
    """
    if not hasattr(utils._TestState, "saved_data"):
        raise RuntimeError(
            "authx.testing works in tests only, after django.test.utils.setup_test_environment(). "
            "The test runners of Django and pytest-django call it."
        )
