"""Receivers of alerts on this machine: of webhooks, of mail."""

import json
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hooks:
    """An HTTP server that keeps what is posted."""

    def __init__(self, answer=""):
        self.got, self.status, kept = [], 200, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept.got.append((self.path, json.loads(body)))
                self.send_response(kept.status)
                self.end_headers()
                self.wfile.write(f"no: {answer}".encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Mails:
    """What a mail server does with a mail: it keeps it."""

    def __init__(self):
        self.got = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.got.append((session.ssl is not None, envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"
