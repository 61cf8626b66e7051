"""The HTTP server: metrics, probes and a landing page, with the web configuration file of Prometheus' exporter-toolkit.

Tornado reads and writes HTTP/1.1. Neither its own server nor uvicorn, hypercorn, aiohttp, cheroot, waitress or granian
has all that keeps scrapes going, so `listener`, `connections` and `accepting` add it: time limits for a TLS handshake
and for a client that does not read, room for a new connection in place of an idle one, calm while file descriptors are
short, and a new TLS context without a restart.
"""
