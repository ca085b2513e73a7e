"""A raw TCP server for what nginx cannot do wrong. Usage: faulty_tcp.py MODE

Prints its port, and ends when its standard input does or says anything.

  silent           accepts and never says a word: a TLS handshake or an answer that does not come
  full             its backlog is full: connect() gets no answer
  close            accepts and closes
  partial          closes in the middle of an HTTP response's head
  headers_forever  never comes to the end of the head
"""

import select
import socket
import sys
import threading
import time

LIFETIME = 600  # seconds, should the reader of our port have vanished without closing our input


def silent(connection):
    while connection.recv(65536):
        pass


def close(connection):
    pass


def partial(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le")


def headers_forever(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Filler: " + b"x" * 100 + b"\r\n")
        time.sleep(0.001)


def serve(connection, behave):
    with connection:
        try:
            behave(connection)
        except OSError:
            pass  # the client went away, as it should


def accept_forever(listener, behave):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, behave), daemon=True).start()


def fill_backlog(listener):
    """Connects until the kernel lets nobody in any more. Returns the connections: they must stay open."""
    fillers = []
    while True:
        filler = socket.socket()
        filler.settimeout(0.1)
        fillers.append(filler)
        try:
            filler.connect(listener.getsockname())
        except socket.timeout:
            return fillers


def main(mode):
    behaviours = {"silent": silent, "close": close, "partial": partial, "headers_forever": headers_forever}
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0 if mode == "full" else 128)
    if mode == "full":
        fillers = fill_backlog(listener)  # noqa: F841
    else:
        threading.Thread(target=accept_forever, args=(listener, behaviours[mode]), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    select.select([sys.stdin], [], [], LIFETIME)


if __name__ == "__main__":
    main(sys.argv[1])
