"""Creates the credential of a service."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import create_service


class Command(BaseCommand):
    help = "Create the credential with which a service introspects tokens, and show it once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="a name for the service")

    def handle(self, *args: Any, **options: Any) -> None:
        service = Service(name=options["name"])
        try:
            create_service(service=service)
        except ValidationError as error:
            raise CommandError(error.messages) from error
        self.stdout.write(f"client_id      {service.pk}\nclient_secret  {service.raw_secret}")
        self.stderr.write("Store the secret now: it cannot be shown again.")
