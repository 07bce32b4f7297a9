"""The operator's console in the browser: a live view, a desk for the one in charge, logged episodes."""
