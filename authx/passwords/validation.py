"""Refuses the passwords that guessers try first, also where they were only made longer."""

import re
from typing import TYPE_CHECKING, Final

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# What users put around a word to make it long enough.
PADDING: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")
# The shortest unit whose repetition may be a secret; none of the common ones is shorter.
MIN_UNIT_LENGTH: Final = 4


class CommonPasswordValidator(password_validation.CommonPasswordValidator):
    """Django's 20 000 common passwords, as they are, repeated, or padded with digits and signs.

    Hardly any of them has the fifteen characters that are asked for; "password1234567" has.
    """

    def validate(self, password: str, user: "User | None" = None) -> None:
        """Raise Django's ValidationError for a common password or one made of it."""
        unit = unit_of(password.lower())
        if len(unit) < MIN_UNIT_LENGTH:
            raise ValidationError(self.get_error_message(), code="password_too_common")
        for guess in (password, unit, PADDING.sub("", password)):
            super().validate(guess, user)


def unit_of(password: str) -> str:
    """Return what a password repeats, the last time perhaps in part; itself if nothing."""
    length = len(password)
    whole = range(1, length + 1)
    period = next((size for size in whole if password.startswith(password[size:])), 0)
    return password[:period]
