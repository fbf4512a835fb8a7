#!/usr/bin/env python3
"""Asks the CYNIC daemon for a judgment, from the bytes up: the standard library and nothing else.

    examples/clients/judge.py FILE          a JSON item (*.json) or the body of one (any other name)

Shows what a client in any language has to do. Numbers are little endian.

A connection carries frames:

    len  u32    bytes of message and payload together
    head u32    bytes of the message
    message     one value in bincode's standard encoding (below)
    payload     raw bytes: the item on the way in, the explanation on the way out

Bincode's standard encoding: an integer below 251 is one byte; 251, 252 and 253 announce a u16, u32 or
u64. A string is its length and its bytes. An option is 0, or 1 and the value. An enum is the number of its
variant and its fields. Structs, tuples and fixed arrays are their fields and nothing else; u8 and bool are
one byte, f32 four.
"""

import os
import socket
import struct
import sys
import time

MAGIC = b"CYN\x01"
PROTOCOL_VERSION = 1
CLIENT, DAEMON = 0, 1  # roles
FRAME_BYTES_MAX = 16 * 1024 * 1024

VERDICTS = ["HOWL", "WAG", "GROWL", "BARK"]
AXIOMS = ["FIDELITY", "PHI", "VERIFY", "CULTURE", "BURN"]
DOMAINS = ["social", "prompt", "shell", "code", "prose", "general"]
JUDGED, ECHOED, FAILED, PONG, STATS, HISTORY, SHOW, DONE, REFUSED = range(9)  # replies


# Writing


def uint(n):
    if n < 251:
        return bytes([n])
    for tag, code, limit in ((251, "<H", 1 << 16), (252, "<I", 1 << 32), (253, "<Q", 1 << 64)):
        if n < limit:
            return bytes([tag]) + struct.pack(code, n)
    raise ValueError(f"{n} does not fit 64 bits")


def text(s):
    raw = s.encode()
    return uint(len(raw)) + raw


def option(encoded):
    return b"\0" if encoded is None else b"\1" + encoded


def frame(message, payload=b""):
    length = len(message) + len(payload)
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"{length} bytes are over the limit of one frame")
    return struct.pack("<II", length, len(message)) + message + payload


def hello():
    return MAGIC + uint(PROTOCOL_VERSION) + uint(CLIENT) + text("judge.py")


def uuid7():
    """Names the task for ever: a retry under the same id gets the same judgment."""
    random = bytearray(os.urandom(10))
    random[0] = random[0] & 0x0F | 0x70
    random[2] = random[2] & 0x3F | 0x80
    return int(time.time() * 1000).to_bytes(6, "big") + bytes(random)


def judge_request(seq, task, is_json, name):
    hint = (
        uint(0 if is_json else 1)  # form: Json, Plain
        + option(None)  # item_type
        + option(text(name))  # name
        + option(None)  # profile
    )
    return (
        uint(seq)
        + uint(0)  # Request::Judge
        + task
        + b"\0"  # retry: false
        + uint(0)  # lane: Interactive
        + uint(0)  # ack: Judged
        + option(uint(10_000))  # deadline_ms
        + hint
    )


# Reading


class Reader:
    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, n):
        if self.at + n > len(self.raw):
            raise ValueError("the message is shorter than its fields")
        self.at += n
        return self.raw[self.at - n : self.at]

    def uint(self):
        first = self.take(1)[0]
        if first < 251:
            return first
        code = {251: "<H", 252: "<I", 253: "<Q"}[first]
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def text(self):
        return self.take(self.uint()).decode(errors="replace")

    def f32(self):
        return struct.unpack("<f", self.take(4))[0]

    def option(self, read):
        return read() if self.take(1) == b"\1" else None


def receive(sock, n):
    raw = bytearray()
    while len(raw) < n:
        part = sock.recv(n - len(raw))
        if not part:
            raise ConnectionError("the daemon closed the connection")
        raw += part
    return bytes(raw)


def receive_frame(sock):
    length, head = struct.unpack("<II", receive(sock, 8))
    if length > FRAME_BYTES_MAX or head > length:
        raise ValueError("this is not a CYNIC frame")
    raw = receive(sock, length)
    return Reader(raw[:head]), raw[head:]


def read_judged(message):
    """The part of `Judged` that a gate needs; what follows is left unread."""
    message.take(16)  # task
    judged = {"q_score": message.f32(), "verdict": VERDICTS[message.uint()]}
    judged["confidence"] = message.f32()
    judged["domain"] = DOMAINS[message.uint()]
    judged["axioms"] = {axiom: message.f32() for axiom in AXIOMS}
    message.take(4 * 36)  # dimensions
    judged["fell_back"] = bin(message.uint()).count("1")
    return judged


def read_evidence(payload):
    """The explanation: (dimension, code, points, span, text), strongest first."""
    details = Reader(payload)
    details.option(details.text)  # item_id
    found = []
    for _ in range(details.uint()):
        dimension, code, points = details.uint(), details.text(), details.f32()
        span = details.option(lambda: (details.uint(), details.uint()))
        found.append((dimension, code, points, span, details.option(details.text)))
    return sorted(found, key=lambda evidence: -abs(evidence[2]))


def fail(message):
    sys.exit(f"judge.py: {message}")


def main():
    if len(sys.argv) != 2:
        fail("usage: judge.py FILE")
    path = sys.argv[1]
    try:
        with open(path, "rb") as file:
            item = file.read()
    except OSError as error:
        fail(f"could not read {path!r}: {error.strerror}")
    address = os.environ.get("CYNIC_SOCKET", "/run/cynic/cynicd.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(address)
        except OSError as error:
            fail(f"no daemon at {address}: {error}")
        sock.sendall(frame(hello()))
        greeting, _ = receive_frame(sock)
        if greeting.take(4) != MAGIC:
            fail("refused; is this program of the daemon's version?")
        version, role = greeting.uint(), greeting.uint()
        if (version, role) != (PROTOCOL_VERSION, DAEMON):
            fail(f"the daemon speaks version {version}, this program {PROTOCOL_VERSION}")

        name = os.path.basename(path)
        sock.sendall(frame(judge_request(1, uuid7(), path.endswith(".json"), name), item))
        message, payload = receive_frame(sock)
        message.uint()  # the number of the request
        reply = message.uint()
        if reply == JUDGED:
            judged = read_judged(message)
            print(f"{judged['verdict']}  Q {judged['q_score']:.1f}  confidence {judged['confidence']:.3f}")
            for _, code, points, _, quote in read_evidence(payload)[:3]:
                # The quotation is untrusted: repr keeps it from acting on the terminal.
                print(f"  {points:+.1f}  {code}  {quote!r}" if quote else f"  {points:+.1f}  {code}")
            return 3 if judged["verdict"] == "BARK" else 0
        if reply == FAILED:
            message.take(16)  # task
            if message.uint() == 0:  # ErrorKind::InvalidItem carries what is wrong with it
                message.uint()
            fail(f"not judged: {message.text()!r}")
        if reply == REFUSED:
            message.uint()  # kind
            fail(f"refused: {message.text()!r}")
        fail(f"unexpected reply {reply}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        fail(str(error))
