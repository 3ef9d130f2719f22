"""HTTP servers on this computer, for what downloads."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serve(handler, port=0):
    """The address of a server on this computer, and the server."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    server.seen, server.over = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port():
    with serve(BaseHTTPRequestHandler) as (address, _):
        return address
