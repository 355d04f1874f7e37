"""Signed links to report files, good for a while and for nobody's secrets."""

import base64
import hashlib
import hmac
import time
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from adelt_sandbox.http import Call, Reply

ACCESS_ID = "reports@sandbox.iam.gserviceaccount.com"


class Signer:
    """Makes links that need no token and checks them."""

    def __init__(self, secret: bytes, seconds: int) -> None:
        self._secret = secret
        self.seconds = seconds

    def url(self, base_url: str, path: str) -> str:
        """A link to a path of this server that expires."""
        expires = int(time.time()) + self.seconds
        query = urlencode(
            {"GoogleAccessId": ACCESS_ID, "Expires": expires, "Signature": self._sign(path, expires)}
        )
        return f"{base_url}{quote(path)}?{query}"

    def refusal(self, call: Call) -> Reply | None:
        """Nothing if the link is good, else the XML that Cloud Storage would send."""
        expires, signature = call.param("Expires"), call.param("Signature")
        if not signature:
            return _xml(403, "AccessDenied", "Access denied.")
        if not expires.isdigit() or not hmac.compare_digest(
            signature, self._sign(call.plain_path, int(expires))
        ):
            return _xml(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your "
                "Google secret key and signing method.",
            )
        if int(expires) < time.time():
            return _xml(
                403,
                "ExpiredToken",
                f"The provided token has expired. Request signature expired at: {expires}",
            )
        return None

    def _sign(self, path: str, expires: int) -> str:
        mac = hmac.new(self._secret, f"GET\n\n\n{expires}\n{path}".encode(), hashlib.sha256)
        return base64.b64encode(mac.digest()).decode()


def missing(path: str) -> Reply:
    """The XML for an object that is not there."""
    return _xml(404, "NoSuchKey", f"The specified key does not exist. No such object: {path}")


def _xml(status: int, code: str, message: str) -> Reply:
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>"
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    )
    return Reply(status, {"Content-Type": "application/xml; charset=UTF-8"}, body.encode())
