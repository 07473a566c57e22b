"""Who are you, may you: signatures, credentials, authorisation."""
