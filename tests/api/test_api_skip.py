"""Leaving out a step: the one that is meant, said by its name, and told in the answer."""

from tests.api.office import PHONE, Office, is_problem


async def _steps(office: Office, lead_id: str) -> list[str]:
    items = (await office.get(f"/v1/leads/{lead_id}/upcoming"))["items"]
    return list(dict.fromkeys(i["step"] for i in items))


async def test_the_answer_says_which_step_was_left_out(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    first, second, *_ = await _steps(office, lead_id)
    path = f"/v1/leads/{lead_id}/skip"
    assert (await office.post(path))["skipped"] == first
    assert (await office.post(path, {}))["skipped"] == second
    assert not {first, second} & set(await _steps(office, lead_id))


async def test_asked_twice_for_one_step_only_that_is_left_out_and_the_next_is_named(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    first, second, *_ = await _steps(office, lead_id)
    path = f"/v1/leads/{lead_id}/skip"
    assert (await office.post(path, {"step": first}))["skipped"] == first
    problem = is_problem(await office.ask("POST", path, json={"step": first}), 409)
    assert problem["detail"] == f"cannot skip {first}: the next step is {second}"
    assert (await _steps(office, lead_id))[0] == second


async def test_an_open_call_is_left_out_by_the_name_of_its_step(office: Office) -> None:
    lead_id = await office.lead(phone=PHONE)
    call = await office.call(lead_id)
    path = f"/v1/leads/{lead_id}/skip"
    problem = is_problem(await office.ask("POST", path, json={"step": "confirm"}), 409)
    assert "the next step is call1" in problem["detail"]
    assert (await office.get(f"/v1/tasks/{call}"))["state"] == "open"
    assert (await office.post(path, {"step": "call1"}))["skipped"] == "call1"
    assert (await office.get(f"/v1/tasks/{call}"))["state"] == "cancelled"


async def test_what_is_no_steps_name_is_refused_and_named(office: Office) -> None:
    path = f"/v1/leads/{await office.lead(phone=PHONE)}/skip"
    for body, field in (({"step": 7}, "step"), ({"step": "x" * 300}, "step"), ({"steps": "confirm"}, "steps")):
        is_problem(await office.ask("POST", path, json=body), 422, field)
