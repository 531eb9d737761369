"""The world outside, imitated over HTTP: Twilio, SendGrid and the people who answer.

It knows nothing of the product: of its modules only the one clock's file format (`domain.clock`) is read; all else goes
over HTTP, as with the real providers. Nothing is imported here, so that `sandbox.keys` stays light.

Numbers with a meaning of their own (the first group as Twilio's own test numbers):
    refused at once     +15005550001 -> 21211   +15005550002 -> 21612   +15005550003 -> 21408
                        +15005550004 -> 21610   +15005550009 -> 21614
    text undelivered    +15005553003 -> 30003, and likewise 3005, 3006, 3007, 3008
    call ends           +15005552001 busy   +15005552002 no-answer   +15005552003 failed
Mail addresses (in the local part): `bounce` alone or `+bounce`, `+blocked`, `+dropped`, `+spam`.
"""
