"""One file a change, named by date and purpose; never edited once released."""
