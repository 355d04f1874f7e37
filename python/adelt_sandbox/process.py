"""End a child process, politely first."""

import signal
import subprocess


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end; kill it if it does not within five seconds."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
