"""Who may ask the gateway for what: the file of keys, and what of it is asked at the door of every request."""
