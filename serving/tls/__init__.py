"""TLS of servers and clients: certificates from files, followed when they are renewed, and connections that speak it."""
