"""Gives another service a credential of its own."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from authx.models import Service
from authx.service_credentials import create_service


class Command(BaseCommand):
    help = "Create the credential with which a service asks about tokens, and show it this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what users call the service")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        service = Service(name=options["name"])
        try:
            create_service(service=service)
        except ValidationError as error:
            raise CommandError(error.messages) from error
        self.stdout.write(f"client_id      {service.pk}\nclient_secret  {service.raw_secret}")
        self.stderr.write("Keep the secret now: nobody can read it again.")
