"""
A server on this machine that speaks the protocol of the Hugging Face Hub, for the unmodified clients.

It keeps repositories of models, data sets and Spaces with their branches, commits and files, asks for tokens, and can
be told to fail. The standard library alone is imported, because the address must be in the environment before
`huggingface_hub` is imported.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


WRITER, READER = "hf_writer_of_the_tests", "hf_reader_of_the_tests"  # tokens
LFS_PATTERNS = ("*.safetensors", "*.bin", "*.pt", "*.png")
_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    """A repository: `branches` maps a name to a commit, `commits` a commit to its files; `log` tells the commits."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        parent = self.branches.get(branch, "")
        digest = hashlib.sha1(f"{parent} {message} {len(self.log)}".encode())
        for path in sorted(files):
            digest.update(path.encode() + b"\0" + files[path] + b"\0")
        oid = digest.hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        self.log.append({"oid": oid, "branch": branch, "message": message})
        return oid

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the branch `main`."""
        return self.commits[self.branches["main"]]


@dataclass
class Fault:
    """
    A fault of requests whose `METHOD /path` a pattern matches.

    `kind` is `"status"` (answers with a status), `"cut"` (closes the connection before reading the request), `"lost"`
    (does what is asked and closes the connection without an answer), `"truncate"` (closes it in the middle of the
    answer), `"alter"` (flips bits of the answer's last byte) or `"wait"` (answers after some seconds).
    """

    pattern: str
    kind: str = "status"
    status: int = 500
    times: int = 1
    message: str = "injected"
    seconds: float = 0.0


class HubServer:
    """
    The server, which runs in a thread from its construction on.

    Args:
        lfs (`bool`, *optional*, defaults to `True`):
            Whether binary files are uploaded as large files, as the Hub does; else everything is part of the commit.
    """

    def __init__(self, lfs: bool = True):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large_files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.tokens: list[str | None] = []  # that the requests carried
        self.unknown: list[str] = []  # requests that the server does not know
        self.lfs = lfs
        self._lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.cdn = f"http://localhost:{self._server.server_address[1]}"  # another host, which gets no token
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def clear(self) -> None:
        """Forgets repositories, faults and requests."""
        for store in (self.repositories, self.large_files, self.faults, self.requests, self.tokens, self.unknown):
            store.clear()

    def fail(self, pattern: str, kind: str = "status", **options: Any) -> None:
        """Adds a [`Fault`]."""
        self.faults.append(Fault(pattern, kind, **options))

    def create(self, name: str, files: dict[str, bytes] | None = None, kind: str = "model", private: bool = False):
        """Adds a repository and returns it."""
        repository = self.repositories[kind, name] = Repository(private)
        repository.commit("main", dict(files or {}), "initial commit")
        return repository

    def model(self, name: str) -> Repository:
        return self.repositories["model", name]

    def asked(self, pattern: str) -> int:
        """Returns the number of requests that a pattern matches."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def environment(self, home: Any, token: str | None = WRITER) -> dict[str, str]:
        """Returns the environment in which a process uses this server, with a cache in the folder `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            **({"HF_TOKEN": token} if token is not None else {}),
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_ETAG_TIMEOUT": "10",
            "HF_HUB_DOWNLOAD_TIMEOUT": "10",
            "NO_PROXY": "127.0.0.1,localhost",
            **({"HF_HUB_DISABLE_XET": "1"} if self.lfs else {}),  # it would ask for a server of its own
        }

    def is_large(self, path: str) -> bool:
        return self.lfs and any(fnmatch(path, pattern) for pattern in LFS_PATTERNS)


class _Answer(Exception):
    """An answer that ends the handling of a request."""

    def __init__(self, status: int, content: Any = None, **headers: str):
        self.status, self.content = status, content
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def _missing(kind: str) -> _Answer:
    status = 401 if kind == "RepoNotFound" else 404  # the Hub does not tell what is missing from what is hidden
    return _Answer(status, {"error": f"{kind} here"}, X_Error_Code=kind, X_Error_Message=f"{kind} here")


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer
    disable_nagle_algorithm = True

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:  # noqa: N802
        hub = self.hub
        request = f"{self.command} {self.path}"
        with hub._lock:
            hub.requests.append(request)
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            hub.tokens.append(token)
            fault = next((f for f in hub.faults if f.times > 0 and re.search(f.pattern, request)), None)
            if fault is not None:
                fault.times -= 1
        if fault is not None and fault.kind == "cut":
            return self.cut()
        if fault is not None and fault.kind == "wait":
            time.sleep(fault.seconds)
        body = self.read_body()
        try:
            if fault is not None and fault.kind == "status":
                content = {"error": fault.message, "url": f"{hub.url}/org/taken"}
                raise _Answer(fault.status, content, X_Error_Message=fault.message)
            with hub._lock:
                self.answer_to(token, body)
            hub.unknown.append(request)
            raise _Answer(404, {"error": f"{request} is not known to the server of the tests"})
        except _Answer as answer:
            if fault is not None and fault.kind == "lost":
                return self.cut()
            self.send(answer, fault)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def send(self, answer: _Answer, fault: Fault | None) -> None:
        content = answer.content
        body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json", **answer.headers}
        if isinstance(content, bytes) and answer.status == 200 and (wanted := self.headers.get("Range")):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
            body, answer.status = body[start : end + 1], 206
            headers["Content-Length"] = str(len(body))
        if fault is not None and fault.kind == "alter" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.kind == "truncate":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            return self.cut()
        self.wfile.write(body)

    # ---- The protocol -------------------------------------------------------------------------------------------

    def answer_to(self, token: str | None, body: bytes) -> None:
        """Raises the answer to a request; returns if it is not known."""
        address = urlsplit(self.path)
        path, query = address.path, parse_qs(address.query)
        if path.startswith("/cdn/"):
            raise _Answer(200, self.hub.large_files[path.removeprefix("/cdn/")])
        if path.startswith("/upload/"):
            self.hub.large_files[path.removeprefix("/upload/")] = body
            raise _Answer(200)
        if path == "/verify":
            raise _Answer(200 if json.loads(body)["oid"] in self.hub.large_files else 404)
        if token not in (None, WRITER, READER):
            message = "Invalid credentials in Authorization header"
            raise _Answer(401, {"error": message}, X_Error_Message=message)
        if path == "/api/whoami-v2":
            if token is None:
                raise _Answer(401, {"error": "no token"})
            raise _Answer(200, {"type": "user", "name": "org", "orgs": []})
        if path == "/api/validate-yaml":
            raise _Answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            self.create(token, json.loads(body))
        if match := re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self.batch(token, json.loads(body))
        if match := re.fullmatch(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(.*))?", path):
            repository = self.repository(_KINDS[match[1]], match[2], token)
            self.api(repository, match[1], match[2], match[3] or "", token, query, body)
        if match := re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repository = self.repository(_KINDS[match[1] or "models"], match[2], token)
            self.resolve(repository, unquote(match[3]), unquote(match[4]))

    def repository(self, kind: str, name: str, token: str | None) -> Repository:
        repository = self.hub.repositories.get((kind, name))
        if repository is None or (repository.private and token is None):
            raise _missing("RepoNotFound")
        return repository

    def check_writer(self, token: str | None) -> None:
        if token is None:
            raise _Answer(401, {"error": "no token"}, X_Error_Message="Invalid username or password.")
        if token != WRITER:
            message = "This token has no permission to write"
            raise _Answer(403, {"error": message}, X_Error_Message=message)

    def create(self, token: str | None, request: dict[str, Any]) -> None:
        self.check_writer(token)
        kind, name = request.get("type") or "model", f"{request.get('organization') or 'org'}/{request['name']}"
        prefix = "" if kind == "model" else f"{kind}s/"
        url = f"{self.hub.url}/{prefix}{name}"
        if (kind, name) in self.hub.repositories:
            raise _Answer(409, {"error": "You already created this repo", "url": url})
        self.hub.create(
            name, kind=kind, private=request.get("visibility") == "private" or bool(request.get("private"))
        )
        raise _Answer(200, {"url": url, "name": name})

    def files(self, repository: Repository, revision: str) -> tuple[str, dict[str, bytes]]:
        oid = repository.branches.get(revision, revision)
        if oid not in repository.commits:
            raise _missing("RevisionNotFound")
        return oid, repository.commits[oid]

    def api(
        self, repository: Repository, kinds: str, name: str, rest: str, token: str | None, query: dict, body: bytes
    ) -> None:
        action, _, rest = rest.partition("/")
        revision = unquote(rest.partition("/")[0]) or "main"
        if action in ("", "revision") and self.command == "GET":
            oid, files = self.files(repository, revision)
            siblings = [{"rfilename": path} for path in sorted(files)]
            info = {"id": name, "sha": oid, "private": repository.private, "siblings": siblings, "tags": []}
            raise _Answer(200, info)
        if action == "tree":
            _, files = self.files(repository, revision)
            folder = unquote(rest.partition("/")[2])
            prefix = f"{folder}/" if folder else ""
            self.tree(files, prefix, query.get("recursive", ["false"])[0].lower() in ("true", "1"))
        if action == "refs":
            branches = [
                {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": oid}
                for branch, oid in repository.branches.items()
            ]
            raise _Answer(200, {"branches": branches, "tags": [], "converts": []})
        if action == "branch":
            self.check_writer(token)
            if revision in repository.branches:
                raise _Answer(409, {"error": "Reference already exists"})
            repository.branches[revision] = repository.branches["main"]
            raise _Answer(200)
        if action == "preupload":
            self.check_writer(token)
            _, files = self.files(repository, revision)
            raise _Answer(200, {"files": [self.mode(files, entry["path"]) for entry in json.loads(body)["files"]]})
        if action == "commit":
            self.check_writer(token)
            self.commit(repository, kinds, name, revision, body)

    def tree(self, files: dict[str, bytes], prefix: str, recursive: bool) -> None:
        entries: dict[str, dict[str, Any]] = {}
        for path in sorted(path for path in files if path.startswith(prefix)):
            folder, slash, _ = path[len(prefix) :].partition("/")
            if slash:
                entries.setdefault(
                    prefix + folder, {"type": "directory", "path": prefix + folder, "size": 0, "oid": "0" * 40}
                )
            if not slash or recursive:
                content = files[path]
                entry = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
                if self.hub.is_large(path):
                    digest = hashlib.sha256(content).hexdigest()
                    entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
                entries[path] = entry
        if prefix and not entries:
            raise _missing("EntryNotFound")
        raise _Answer(200, list(entries.values()))

    def mode(self, files: dict[str, bytes], path: str) -> dict[str, Any]:
        mode: dict[str, Any] = {"path": path, "shouldIgnore": False}
        mode["uploadMode"] = "lfs" if self.hub.is_large(path) else "regular"
        if path in files:
            content = files[path]
            mode["oid"] = hashlib.sha256(content).hexdigest() if self.hub.is_large(path) else git_oid(content)
        return mode

    def batch(self, token: str | None, request: dict[str, Any]) -> None:
        self.check_writer(token)
        objects = []
        for entry in request["objects"]:
            actions = {
                "upload": {"href": f"{self.hub.url}/upload/{entry['oid']}"},
                "verify": {"href": f"{self.hub.url}/verify"},
            }
            known = entry["oid"] in self.hub.large_files
            objects.append({**entry, **({} if known else {"actions": actions})})
        raise _Answer(200, {"transfer": "basic", "objects": objects})

    def commit(self, repository: Repository, kinds: str, name: str, revision: str, body: bytes) -> None:
        oid, files = self.files(repository, revision)
        files, message = dict(files), ""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, oid):
                    raise _Answer(412, {"error": "A commit has happened since"})
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                if value["oid"] not in self.hub.large_files:
                    raise _Answer(400, {"error": f"There is no large file {value['oid']}"})
                files[value["path"]] = self.hub.large_files[value["oid"]]
            elif entry["key"] == "deletedFile":
                if value["path"] not in files:
                    raise _missing("EntryNotFound")
                del files[value["path"]]
        new = repository.commit(revision, files, message)
        prefix = "" if kinds == "models" else f"{kinds}/"
        raise _Answer(200, {"commitUrl": f"{self.hub.url}/{prefix}{name}/commit/{new}", "commitOid": new})

    def resolve(self, repository: Repository, revision: str, path: str) -> None:
        oid, files = self.files(repository, revision)
        if path not in files:
            raise _Answer(404, b"missing", X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        content = files[path]
        if not self.hub.is_large(path):
            raise _Answer(200, content, X_Repo_Commit=oid, ETag=f'"{git_oid(content)}"')
        digest = hashlib.sha256(content).hexdigest()
        self.hub.large_files[digest] = content
        headers = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": oid}
        raise _Answer(302, b"", **headers, Location=f"{self.hub.cdn}/cdn/{digest}", ETag=f'"{git_oid(content)}"')
