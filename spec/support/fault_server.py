"""A server that does to each connection, byte by byte, what it is told. Usage: fault_server.py

Prints its port. Each line of its standard input is then a command in JSON, answered by a line of JSON; it ends when
its standard input does, or says anything else.

  {"play": [SCRIPT, ...]}  the next connections play one script each, those after them the last one again
  {"report": true}         [TEXT, ...]: what was received on each connection since then
  {"crowd": true}          the port of a listener whose backlog is full: connect() gets no answer from it

A script is a list of actions; after the last one the connection is closed. Each character of a text is one byte.

  ["expect"]                     reads a request: its head, and as much body as its Content-Length says
  ["frame", TYPE]                reads HTTP/2 until a frame of that type has come
  ["read"]                       reads what comes next, if it is only a byte
  ["drain"]                      reads until the other side goes away
  ["send", TEXT]
  ["repeat", TEXT, TIMES, SECONDS]  sends it that often (-1: for ever), with a pause after each
  ["wait", SECONDS]
  ["close"]
  ["reset"]                      closes with a RST instead of a FIN
  ["tls", OPTIONS]               takes the handshake: {"certificate": PATH, "key": PATH, "alpn": "h2", "version":
                                 "TLSv1_2", "authority": PATH: of the certificate that the client must show,
                                 "asks": true: that it may}
  ["goodbye"]                    ends TLS as it should be ended
  ["tunnel"]                     goes on as the proxy that the expected CONNECT wants
"""

import json
import select
import socket
import ssl
import struct
import sys
import threading
import time

LIFETIME = 600  # seconds, should whoever talks to us have vanished without closing our input
PREFACE = 24  # bytes that HTTP/2 begins with
FRAME_HEAD = 9


class Connection:
    def __init__(self, link, record):
        self.link = link
        self.record = record  # all that was received
        self.unread = b""  # received, and not yet looked at
        self.last = b""  # request

    def receive(self):
        data = self.link.recv(65536)
        self.record += data
        self.unread += data
        return data

    def take(self, size):
        while len(self.unread) < size:
            if not self.receive():
                raise ConnectionError("it went away")
        taken, self.unread = self.unread[:size], self.unread[size:]
        return taken

    def play(self, script):
        for name, *arguments in script:
            getattr(self, "do_" + name)(*arguments)

    def do_expect(self):
        while b"\r\n\r\n" not in self.unread:
            self.take(len(self.unread) + 1)
        head = self.take(self.unread.index(b"\r\n\r\n") + 4)
        lines = head.lower().split(b"\r\n")
        lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
        self.last = head + self.take(sum(lengths))

    def do_frame(self, wanted):
        if not self.record:
            self.take(PREFACE)
        kind = None
        while kind != wanted:
            head = self.take(FRAME_HEAD)
            kind = head[3]
            self.take(int.from_bytes(head[:3], "big"))

    def do_read(self):
        self.receive()

    def do_drain(self):
        while self.receive():
            pass

    def do_send(self, text):
        self.link.sendall(text.encode("latin-1"))

    def do_repeat(self, text, times, seconds):
        while times != 0:
            self.do_send(text)
            time.sleep(seconds)
            times -= 1

    def do_wait(self, seconds):
        time.sleep(seconds)

    def do_close(self):
        raise ConnectionError("by us")

    def do_reset(self):
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()

    def do_tls(self, options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["certificate"], options["key"])
        if "alpn" in options:
            context.set_alpn_protocols([options["alpn"]])
        if "version" in options:
            context.maximum_version = ssl.TLSVersion[options["version"]]
        if "authority" in options:
            context.load_verify_locations(options["authority"])
            context.verify_mode = ssl.CERT_OPTIONAL if options.get("asks") else ssl.CERT_REQUIRED
        self.link = context.wrap_socket(self.link, server_side=True, do_handshake_on_connect=False)
        try:
            self.link.do_handshake()
        except ssl.SSLError:
            self.end_without_reset()
            raise

    def end_without_reset(self):
        """A RST, because of what nobody has read, would take the alert with it."""
        self.link = socket.socket(fileno=self.link.detach())
        self.link.shutdown(socket.SHUT_WR)
        while self.link.recv(65536):
            pass

    def do_goodbye(self):
        self.link.unwrap()

    def do_tunnel(self):
        host, port = self.last.split(b" ")[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as upstream:
            threading.Thread(target=pump, args=(upstream, self.link), daemon=True).start()
            while True:
                data = self.receive()
                if not data:
                    break
                upstream.sendall(data)


def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of the two went away


def serve(link, script, record):
    connection = Connection(link, record)
    try:
        connection.play(script)
    except OSError:
        pass  # the client went away, as it may
    finally:
        connection.link.close()


class Server:
    def __init__(self):
        self.scripts, self.records = [[]], []
        self.crowds = []
        self.listener = listen(128)
        self.port = self.listener.getsockname()[1]

    def accept_forever(self):
        while True:
            link, _ = self.listener.accept()
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            record = bytearray()
            self.records.append(record)
            script = self.scripts[min(len(self.records), len(self.scripts)) - 1]
            threading.Thread(target=serve, args=(link, script, record), daemon=True).start()

    def obey(self, command):
        if "play" in command:
            self.scripts, self.records = command["play"], []
            return True
        if "report" in command:
            return [record.decode("latin-1") for record in list(self.records)]
        self.crowds.append(crowded())
        return self.crowds[-1][0].getsockname()[1]


def listen(backlog):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def crowded():
    """Connects until the kernel lets nobody in any more. All of these sockets must stay open."""
    sockets = [listen(0)]
    while True:
        filler = socket.socket()
        filler.settimeout(0.1)
        sockets.append(filler)
        try:
            filler.connect(sockets[0].getsockname())
        except socket.timeout:
            return sockets


def commands():
    while select.select([sys.stdin], [], [], LIFETIME)[0]:
        line = sys.stdin.readline()
        if not line.startswith("{"):
            break
        yield json.loads(line)


def main():
    sys.stdin.reconfigure(encoding="latin-1")
    sys.stdout.reconfigure(encoding="latin-1", line_buffering=True)
    server = Server()
    threading.Thread(target=server.accept_forever, daemon=True).start()
    print(server.port)
    for command in commands():
        print(json.dumps(server.obey(command), ensure_ascii=False))


if __name__ == "__main__":
    main()
