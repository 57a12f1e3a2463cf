"""A password is hashed beside the requests of those who are signed in."""

import os
import sys

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from authx.passwords.hashers import (
    NICENESS,
    BackgroundArgon2PasswordHasher,
    in_background,
)
from tests.phone import PASSWORD


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_a_hash_has_one_lane_and_hashes_of_django_with_eight_are_verified_and_upgraded() -> None:
    hasher = BackgroundArgon2PasswordHasher()
    ours, theirs = (one.encode(PASSWORD, one.salt()) for one in (hasher, Argon2PasswordHasher()))
    assert ours.startswith("argon2$argon2id$v=19$m=102400,t=2,p=1$")
    assert theirs.startswith("argon2$argon2id$v=19$m=102400,t=2,p=8$")
    for encoded in (ours, theirs):
        assert hasher.verify(PASSWORD, encoded)
        assert Argon2PasswordHasher().verify(PASSWORD, encoded)
        assert not hasher.verify(PASSWORD + "x", encoded)
    assert not hasher.must_update(ours)
    assert hasher.must_update(theirs)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority on Linux alone")
def test_hashing_gives_way_to_every_other_thread() -> None:
    before = priority()
    assert in_background(priority) == before + NICENESS
    assert priority() == before


def test_where_threads_have_no_priority_of_their_own_the_process_keeps_its(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert in_background(priority) == priority()


def test_what_hashing_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0)
