"""`shitu-edge serve`: recognition over HTTP, for tills in other languages than Python (extra `serve`).

configuration.py   options, from a TOML file, the environment and flags
folders.py         folders for state, cache and log
tokens.py          who may call: one file per token
access.py          hosts, origins and scopes of a request
binding.py         the listening socket, connections, TLS
admission.py       requests that are taken, wait or are refused
engines.py         a recognizer, and one on the other engine for when the first fails
opened.py          what requests are answered with, replaced as a whole by a reload
ready.py           a golden image, recognized right
service.py         all of it together: starting, reloading, closing
schemas.py         dataclasses as JSON Schema
options.py         query parameters as dataclasses
bodies.py          request bodies, within limits
answers.py         answers and errors as JSON
operations.py      an endpoint, and its entry in OpenAPI
recognition.py, changing.py, looking.py, watching.py, operating.py   the endpoints
streams.py         streams that callers feed
cameras.py         streams that the server feeds itself
events.py          server-sent events
metrics.py         what Prometheus reads
app.py             the ASGI application
openapi.py         the description of all endpoints
log.py, systemd.py the log in a folder; telling systemd
server.py          the process: uvicorn and signals
"""
