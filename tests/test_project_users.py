"""User models of projects: their names, keys and parents."""

from pathlib import Path

import pytest

from authx.contrib.openapi.extensions import NOT_BLANK
from tests.projects import tell

pytestmark = pytest.mark.waits

# An address instead of a name, found without regard to case and with dots that do not count; a
# text as the key; neither `is_active` nor `last_login`; fields that are called like tables of ours.
EMAIL = """
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models

def plain(email):
    name, _, host = email.casefold().partition("@")
    return name.replace(".", "") + "@" + host

class Accounts(BaseUserManager):
    def get_by_natural_key(self, email):
        return self.get(key=plain(email))

    def create_user(self, email, password=None, **fields):
        user = self.model(email=email, key=plain(email), **fields)
        user.set_password(password)
        user.save()
        return user

class Account(AbstractBaseUser, PermissionsMixin):
    id = models.CharField(primary_key=True, max_length=20)
    email = models.EmailField()
    key = models.CharField(max_length=100)
    is_staff = models.BooleanField(default=False)
    password_failures = models.IntegerField(default=0)
    security_events = models.IntegerField(default=0)
    last_login = None
    objects = Accounts()
    USERNAME_FIELD = "email"

admin.site.register(Account)
"""
EMAIL_STORY = """
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator
from authx.models import DeviceSession, PasswordFailures, SecurityEvent
from shop.models import Account

ann = Account.objects.create_user("Ann.Lee@example.com", "a long password", id="a/1 ü")
phone = {"installation_id": "phone"}

def sign_in(email, password="a long password", **body):
    return post("/users/login", {"email": email, "password": password} | body)

first = sign_in("Ann.Lee@example.com", device=phone).json()
named = post("/users/login", {"username": "Ann.Lee@example.com", "password": "a long password"})
me = get("/users/me", first).json()
grant = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
pair = post("/users/token", grant).json()
# Guesses from elsewhere, each in another spelling, are at one account.
spellings = ["annlee@example.com", "ANNLEE@example.com", "a.nn.lee@example.com",
             "an.nlee@example.com", "ann.le.e@example.com", "a.n.n.l.e.e@example.com"]
guesses = [sign_in(email, "wrong").status_code for email in spellings]
# The device that the account knows is not kept out, however its user writes the name.
proven = phone | {"credential": first["device_credential"]}
known = sign_in("annlee@EXAMPLE.com", device=proven)
pair = known.json()
changed = client.post(
    "/users/password",
    {"current_password": "a long password", "new_password": "another long password"},
    content_type="application/json", headers={"authorization": "Bearer " + pair["access_token"]},
)
call_command("unlock_password", user="annlee@example.com", stdout=open("out", "w"))
freed = sign_in("a.nnlee@example.com", "another long password")
# Two rows with one key: a fault of the project, which signs nobody in and fails nothing.
Account.objects.create_user("twin@example.com", "a long password", id="2")
Account.objects.create_user("t.win@example.com", "a long password", id="3")
twins = sign_in("twin@example.com").json()

clerk = Account.objects.create_user("clerk@example.com", "a long password", id="4", is_staff=True)
allowed = Permission.objects.filter(codename__in=["view_account", "delete_account"])
clerk.user_permissions.set(allowed)
client.force_login(clerk, "authx.passwords.backends.ModelBackend")
page = reverse("admin:shop_account_delete", args=[quote(ann.pk)])
shown = client.get(page)
deleted = client.post(page, {"post": "yes"})
of_ann = DeviceSession.objects.filter(user=ann.pk).count()
left = [Account.objects.filter(pk=ann.pk).count(), of_ann,
        PasswordFailures.objects.filter(user=ann.pk).count()]
last = SecurityEvent.objects.filter(former_user_id=ann.pk).order_by("pk").last()
schemas = SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
print(json.dumps({
    "checks": ids(),
    "me": [me["id"], me["username"]],
    "named": [named.status_code, named.json()["fields"]],
    "guesses": guesses,
    "known": known.status_code,
    "changed": changed.status_code,
    "freed": freed.status_code,
    "twins": twins["error"],
    "deleted": [shown.status_code, deleted.status_code, left],
    "last event": last.kind,
    "body": schemas["AuthxLogin"]["properties"]["email"],
    "required": schemas["AuthxLogin"]["required"],
}))
"""

# A number instead of a name, which is on a parent that has no password; the key is a UUID.
NUMBER = """
import uuid
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models

class Person(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.IntegerField(unique=True)
    is_active = models.BooleanField(default=True)

class Worker(Person, AbstractBaseUser, PermissionsMixin):
    is_staff = models.BooleanField(default=False)
    objects = BaseUserManager()
    USERNAME_FIELD = "number"

    def __str__(self):
        return f"worker {self.number}"

class Driver(Worker):
    lorry = models.CharField(max_length=9)

class Veteran(Worker):
    class Meta:
        proxy = True

admin.site.register(Veteran)
"""
NUMBER_STORY = """
from django.contrib.auth.models import Permission
from authx.models import DeviceSession, SecurityEvent
from shop.models import Driver, Person, Veteran, Worker

def hire(kind, number, **fields):
    worker = kind(number=number, **fields)
    worker.set_password("a long password")
    worker.save()
    return worker

def sign_in(number, password="a long password", installation="phone"):
    return post("/users/login", {"number": number, "password": password,
                                 "device": {"installation_id": installation}})

driver, veteran = hire(Driver, 7, lorry="blue"), hire(Veteran, 8)
pair = sign_in("7").json()
me = get("/users/me", pair).json()
odd = [sign_in(number, installation="other").status_code
        for number in ("seven", "1" * 300, "-1", "7.5", "\\u0667", 7)]
changed = client.post(
    "/users/password",
    {"current_password": "wrong", "new_password": "another long password"},
    content_type="application/json", headers={"authorization": "Bearer " + pair["access_token"]},
)
# Saved and deleted through a parent without a password, a child and a proxy.
Person.objects.filter(number=7).update(is_active=False)
person = Person.objects.get(number=7)
person.save()
inactive = get("/users/me", pair).status_code
person.is_active = True
person.save()
pair = sign_in("7", installation="tablet").json()
driver.refresh_from_db()
driver.is_active = False
driver.save()
ended = list(DeviceSession.objects.values_list("revoked_reason", flat=True).distinct())
driver.is_active = True
driver.save()
pair = sign_in("7").json()
person.delete()
gone = [get("/users/me", pair).status_code, DeviceSession.objects.count(),
        SecurityEvent.objects.filter(kind="deleted").count()]
pair = sign_in("8").json()
# One number has many spellings, and its account one count.
guesses = [sign_in("0" * n + "8", "wrong", "other").status_code for n in range(6)]
clerk = hire(Worker, 9, is_staff=True)
allowed = Permission.objects.filter(codename__in=["view_veteran", "delete_veteran"])
clerk.user_permissions.set(allowed)
client.force_login(clerk, "authx.passwords.backends.ModelBackend")
deleted = client.post(f"/admin/shop/veteran/{veteran.pk}/delete/", {"post": "yes"}).status_code
print(json.dumps({
    "checks": ids(),
    "me": [me["id"] == str(driver.pk), me["username"]],
    "odd": odd,
    "changed": [changed.status_code, changed.json()["error"]],
    "guesses": guesses,
    "early": early,
    "inactive": inactive,
    "ended": ended,
    "gone": gone,
    "deleted": [deleted, DeviceSession.objects.exclude(platform="browser").count()],
}))
"""
URLS = """
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("users/", include("authx.urls")), path("admin/", admin.site.urls)]
"""


def test_an_address_as_the_name_and_a_text_as_the_key(wheel: Path, tmp_path: Path) -> None:
    settings = """
AUTH_USER_MODEL = "shop.Account"
INSTALLED_APPS += ["drf_spectacular", "authx.contrib.openapi"]
REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = "drf_spectacular.openapi.AutoSchema"
"""
    files = {"models": EMAIL, "urls": URLS, "settings": settings, "story": EMAIL_STORY}
    assert tell(wheel, tmp_path, files) == {
        # Of Django, about an address that is not unique.
        "checks": ["auth.W004"],
        "me": ["a/1 ü", "Ann.Lee@example.com"],
        "named": [400, {"email": ["This field is required."]}],
        "guesses": [400] * 5 + [429],
        "known": 200,
        "changed": 200,
        "freed": 200,
        "twins": "invalid_grant",
        "deleted": [200, 302, [0, 0, 0]],
        "last event": "deleted",
        "body": {"type": "string", "pattern": NOT_BLANK, "maxLength": 320},
        "required": ["email", "password"],
    }


def test_a_number_as_the_name_and_parents_children_and_proxies(wheel: Path, tmp_path: Path) -> None:
    settings = 'AUTH_USER_MODEL = "shop.Worker"'
    files = {"models": NUMBER, "urls": URLS, "settings": settings, "story": NUMBER_STORY}
    assert tell(wheel, tmp_path, files) == {
        "checks": [],
        "me": [True, "7"],
        # The last but one is a seven in Arabic, to Python as well.
        "odd": [400, 400, 400, 400, 200, 400],
        "guesses": [400] * 5 + [429],
        "early": False,
        "changed": [400, "invalid_request"],
        "inactive": 401,
        "ended": ["deactivated"],
        "gone": [401, 0, 1],
        "deleted": [302, 0],
    }
