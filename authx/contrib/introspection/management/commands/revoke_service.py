"""Revokes the credential of a service."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import revoke_service


class Command(BaseCommand):
    help = "Revoke the credential of a service; holds from its next request."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id", help="the id that create_service printed")

    def handle(self, *args: Any, **options: Any) -> None:
        live = {str(one.pk): one for one in Service.objects.filter(revoked_at__isnull=True)}
        service = live.get(options["client_id"].lower())
        if service is None or not revoke_service(service=service):
            known = "".join(f"\n  {one}" for one in live.values()) or " none"
            raise CommandError(f"There is no such live service. Live services:{known}")
        self.stdout.write(f"Revoked {service}.")
