"""What a provider tells of a touch: taken in, few at once, and counted by what it was."""

from api.services import Services
from domain.errors import NotFound
from domain.ports import TouchUpdate


async def take_in(services: Services, provider: str, update: TouchUpdate) -> bool:
    """False of a touch that is not known."""
    try:
        async with services.news_at_once:
            result = "taken" if await services.news.update(update) else "repeated"
    except NotFound:
        result = "unknown_touch"
    services.meters.webhooks.labels(provider, result).inc()
    return result != "unknown_touch"
