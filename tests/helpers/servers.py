"""HTTP servers on this computer, for what downloads."""

import json
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


@contextmanager
def colab_sessions():
    """Colab's /api/sessions on port 9000, which says where the notebook was opened from; the list to fill."""
    answers: list = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers).encode())

        def log_message(self, *words):
            pass

    with serve(Handler, port=9000):
        yield answers
