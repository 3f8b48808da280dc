"""Answers with how Python's HTTP server, WSGI, CGI and laxer programs understand a request."""

import http.cookies
import http.server
import json
import posixpath
import re
import sys
import threading
import unicodedata
import urllib.parse

count = 0
lock = threading.Lock()


def lax(path):
    """What a program makes of a decoded path that cuts parameters, knows no case, and has its files on Windows."""
    path = unicodedata.normalize("NFKC", path).casefold().replace("\\", "/")
    path = "".join(c for c in path if unicodedata.category(c) != "Cf")
    segments = [s.split(";")[0].strip() for s in path.split("/")]
    segments = [s if s in (".", "..") else (s.rstrip(". ") or s) for s in segments]
    return posixpath.normpath(re.sub("/+", "/", "/".join(segments)))


def cookie_names(text):
    names = []
    try:
        names += http.cookies.SimpleCookie(text).keys()
    except http.cookies.CookieError:
        pass
    for separator in (";", "[;,]"):
        for pair in re.split(separator, text):
            name = urllib.parse.unquote_plus(pair.split("=")[0].strip())
            names += [name, re.sub(r"[ .\[]", "_", name)]
    return names


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        global count
        with lock:
            count += 1
            n = count
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fields = [[k, v] for k, v in self.headers.items()]
        cgi = {}
        for k, v in self.headers.items():  # as wsgiref has it
            k = "HTTP_" + k.replace("-", "_").upper()
            cgi[k] = cgi[k] + "," + v if k in cgi else v
        for k, v in self.headers.items():  # as older CGI has it
            k = "HTTP_" + re.sub("[^A-Z0-9]", "_", k.strip().upper())
            cgi.setdefault(k, v)
        fields += [[k, v] for k, v in cgi.items()]
        raw = self.path.split("?")[0]
        text = urllib.parse.unquote(raw, errors="surrogateescape")
        text = text.encode("utf-8", "replace").decode()
        paths = [raw, text, posixpath.normpath(text), lax(text), lax(raw)]
        cookies = cookie_names("; ".join(self.headers.get_all("Cookie") or []))
        body = json.dumps({"target": self.path, "paths": paths, "fields": fields, "cookies": cookies, "count": n}).encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.wfile.write(head.encode() + body)  # at once: the second of two small writes waits for an acknowledgement

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1])
sys.stdin.read()
