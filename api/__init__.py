"""The HTTP API: commands, views, webhooks, signed links."""
