"""What the routes are given. Built once by the app factory; nothing here reads settings."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request
from jinja2 import Environment

from api.commands import Commands
from api.dependencies import Check
from api.lists import Lists
from api.meters import Meters
from channels.inbound_sendgrid import SendGridEvents
from channels.inbound_twilio import TwilioWebhooks
from channels.twilio_twiml import CallFlow
from content.facilities import Facilities
from content.links import Links
from content.values import Voice
from domain.access import Actor
from store.click_to_call import ClickToCall
from store.engine import Store
from store.inbound import Inbound
from store.lead_unit import Leads
from store.touch_news import TouchNews

if TYPE_CHECKING:
    from wire.codec import AesCodec


@dataclass(frozen=True)
class Services:
    """`twilio` and `sendgrid` are None where their secrets are not set: then no callback is believed.

    `dependencies` are asked by name whether they answer. `once` bounds requests that write: each may need a second
    connection. `news_at_once` bounds the work on what carriers tell of touches, which comes in bursts: a stop does not
    wait for all of it (decision 0024).
    """

    production: bool
    organization: str
    ui_origin: str | None
    store: Store
    leads: Leads
    commands: Commands
    inbound: Inbound
    news: TouchNews
    click_to_call: ClickToCall
    calls: CallFlow
    links: Links
    facilities: Facilities
    voice: Voice
    twilio: TwilioWebhooks | None
    sendgrid: SendGridEvents | None
    codec: "AesCodec"
    meters: Meters
    pages: Environment
    dependencies: Mapping[str, Check]
    once: asyncio.Semaphore
    news_at_once: asyncio.Semaphore
    lists: Lists


def of(request: Request) -> Services:
    return cast(Services, request.app.state.services)


async def _services(request: Request) -> Services:
    """In a request that writes, commands run in its one transaction."""
    commands: Commands | None = getattr(request.state, "commands", None)
    return of(request) if commands is None else replace(of(request), commands=commands)


async def _actor(request: Request) -> Actor:
    return cast(Actor, request.state.actor)


Wired = Annotated[Services, Depends(_services)]
Who = Annotated[Actor, Depends(_actor)]
