"""The accounts of the phones; run with the settings of the cluster."""

import sys
from typing import Final

import django
from django.contrib.auth.hashers import make_password

PASSWORD: Final = "correct horse battery staple"


def name_of(number: int) -> str:
    return f"user-{number}"


def main() -> None:
    django.setup()
    from django.contrib.auth.models import User  # noqa: PLC0415 -- needs the settings

    # One hash for all: only these tests know the password.
    password = make_password(PASSWORD)
    User.objects.bulk_create(
        User(username=name_of(number), email=f"{name_of(number)}@localhost", password=password)
        for number in range(int(sys.argv[1]))
    )


if __name__ == "__main__":
    main()
