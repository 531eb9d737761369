"""The way to Temporal: connection, payload encryption, and the key ring that all encryption of Tend hangs on."""
