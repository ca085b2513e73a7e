"""Proxies and servers for what neither nginx nor faulty_tcp.py does. Usage: odd_server.py MODE LOG

Prints its port, and ends when its standard input does or says anything. LOG gets a line for each connection,
"connection", and for whatever is received on it, "received HEX".

  record         hangs up on everybody
  proxy          a proxy that knows CONNECT only
  refuse         a proxy that lets nobody through
  close_after    a web server that says keep-alive and then hangs up after its answer
  close_second   a web server that hangs up on the second request of a connection
"""

import select
import socket
import sys
import threading

LIFETIME = 600  # seconds, should the reader of our port have vanished without closing our input

BODY = b'{"value":[{"id":"192.0.2.1"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Log:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
        self.lock = threading.Lock()

    def write(self, line):
        with self.lock:
            self.file.write(line + "\n")

    def receive(self, connection):
        data = connection.recv(65536)
        if data:
            self.write("received " + data.hex())
        return data


def read_head(connection, log):
    head = b""
    while b"\r\n\r\n" not in head:
        data = log.receive(connection)
        if not data:
            return b""
        head += data
    return head


def record(connection, log):
    connection.settimeout(0.2)
    log.receive(connection)


def pump(source, sink):
    while True:
        data = source.recv(65536)
        if not data:
            break
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def pump_quietly(source, sink):
    try:
        pump(source, sink)
    except OSError:
        pass


def proxy(connection, log):
    method, target = read_head(connection, log).split(b" ")[:2]
    if method != b"CONNECT":
        connection.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        return
    host, port = target.decode().rsplit(":", 1)
    with socket.create_connection((host, int(port))) as upstream:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pump_quietly, args=(upstream, connection), daemon=True).start()
        while True:
            data = log.receive(connection)
            if not data:
                break
            upstream.sendall(data)


def refuse(connection, log):
    read_head(connection, log)
    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot here\n")


def close_after(connection, log):
    read_head(connection, log)
    connection.sendall(ANSWER)


def close_second(connection, log):
    read_head(connection, log)
    connection.sendall(ANSWER)
    read_head(connection, log)


def serve(connection, behave, log):
    log.write("connection")
    with connection:
        try:
            behave(connection, log)
        except OSError:
            pass  # the client went away


def accept_forever(listener, behave, log):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, behave, log), daemon=True).start()


def main(mode, log_path):
    behaviours = {"record": record, "proxy": proxy, "refuse": refuse,
                  "close_after": close_after, "close_second": close_second}
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    threading.Thread(target=accept_forever, args=(listener, behaviours[mode], Log(log_path)), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    select.select([sys.stdin], [], [], LIFETIME)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
