"""`python -m model_server.healthy`: exit 0 when the server beside us is ready; a container asks."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """Ask over loopback, whatever address the server listens on."""
    port = int(os.environ.get("MODEL_SERVER_PORT", "8080"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return 0 if connection.getresponse().status == 200 else 1  # noqa: PLR2004
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
