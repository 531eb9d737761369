"""What a callback is answered that we do not believe or understand. Nothing of it is stored."""

from http import HTTPStatus

from fastapi import Response

from api.problems import invalid, problem
from api.services import Services
from domain.errors import InvalidInput


def refused(services: Services, provider: str) -> Response:
    services.meters.webhooks.labels(provider, "bad_signature").inc()
    return problem(HTTPStatus.FORBIDDEN, "the signature is missing or wrong for this address and body")


def too_old(services: Services, provider: str) -> Response:
    """Signed once, and so long ago, or for a time to come, that it may be somebody's copy."""
    services.meters.webhooks.labels(provider, "too_old").inc()
    return problem(HTTPStatus.FORBIDDEN, "the time that was signed is no time, more than 25 hours ago, or lies ahead")


def unreadable(services: Services, provider: str, error: InvalidInput) -> Response:
    services.meters.webhooks.labels(provider, "unreadable").inc()
    return invalid([(error.field, error.reason)])
