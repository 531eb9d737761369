"""From the outbox to Temporal: starts and signals leave here, after the commit and never before."""
