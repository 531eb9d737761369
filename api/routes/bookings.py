"""What schedulers send."""

from fastapi import APIRouter

from api import answers, schemas
from api.once import ApiRoute
from api.sequences_ready import sequences_ready
from api.services import Who, Wired
from store.bookings import Booking

router = APIRouter(prefix="/v1/bookings", tags=["bookings"], route_class=ApiRoute)


@router.post("", response_model=answers.Booked, summary="Tell of an appointment")
async def tell(body: schemas.BookingForm, services: Wired, actor: Who) -> answers.Booked:
    """Booked, rescheduled, cancelled, arrived, no-show, completed. Repeats and events out of order are harmless."""
    if body.facility is not None:
        services.facilities.check("facility", body.facility)
    await sequences_ready(services)
    booking = Booking(
        event=body.event,
        appointment_id=body.appointment_id,
        occurred_at=body.occurred_at,
        lead_id=body.lead_id,
        phone=body.phone,
        email=body.email,
        starts_at=body.starts_at,
        facility=body.facility,
    )
    booked = await services.commands.booking(actor, booking)
    return answers.Booked.model_validate(booked, from_attributes=True)
