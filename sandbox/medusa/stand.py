"""The stand as a whole: what is up already stays, what is missing is made."""

import contextlib
import fcntl
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.medusa import catalogue
from sandbox.medusa.client import Api, Json, basic, bearer, token
from sandbox.medusa.daemons import Daemon
from sandbox.medusa.errors import StandError
from sandbox.medusa.keys import Secrets
from sandbox.medusa.orders import place_missing, placed_numbers
from sandbox.medusa.postgres import Postgres, data_folder, server_user
from sandbox.medusa.server import Medusa
from sandbox.medusa.tools import find_tools

Say = Callable[[str], None]


def up(home: Path, port: int, postgres_port: int, orders: int) -> Json:
    """Everything that `home` lacks, and where to find it."""
    tools = find_tools()
    with _alone(home):
        postgres = Postgres(home, postgres_port, tools)
        medusa = Medusa(home, port, tools, postgres.folder)
        postgres.daemon.claim_port()
        medusa.daemon.claim_port()
        say = _clock()
        say("npm packages …")
        medusa.install()
        keys = _database(home, postgres, medusa, say)
        with _signed_in(medusa, postgres, keys, say) as admin:
            keys = _with_api_key(home, medusa, admin, keys)
            shop = catalogue.seed(admin)
            say("catalogue is there")
            store = Api(medusa.base_url, {"x-publishable-api-key": shop.publishable_key})
            place_missing(admin, store, shop, keys.shopper_password, orders, say)
            store.close()
            return {
                "base_url": medusa.base_url,
                "api_key": keys.api_key,
                "publishable_key": shop.publishable_key,
                "database_url": postgres.url(keys.database_password),
                "pids": {daemon.name: daemon.pid() for daemon in (postgres.daemon, medusa.daemon)},
                "orders": len(placed_numbers(admin)),
                "variants": shop.variants,
                "location_id": shop.location_id,
                "return_option_id": shop.return_option_id,
                "return_reasons": shop.return_reasons,
            }


def stop(home: Path) -> dict[str, bool]:
    """End both processes; says which of them ran."""
    with _alone(home):
        # The port plays no part in stopping.
        return {name: Daemon(home, name, 0, "").stop() for name in ("medusa", "postgres")}


def forget(home: Path) -> dict[str, bool]:
    """End both processes and remove what the stand made; whatever else lies in `home` stays."""
    ended = stop(home)
    for folder in (home / "project", home / "database", data_folder(home, server_user())):
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("secrets.json", "medusa.log", "postgres.log", "lock"):
        (home / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it isn't empty
        home.rmdir()
    return ended


def _database(home: Path, postgres: Postgres, medusa: Medusa, say: Say) -> Secrets:
    """A running, migrated database. Without the passwords it can't be opened, so then it is made again."""
    keys = Secrets.read(home)
    if keys is None or not postgres.is_whole:
        medusa.daemon.stop()
        say("database …")
        keys = Secrets().write(home)
        postgres.create(keys.database_password)
    postgres.start(keys.database_password)
    say("migrations …")
    medusa.migrate(postgres.url(keys.database_password), keys)
    return keys


@contextmanager
def _signed_in(medusa: Medusa, postgres: Postgres, keys: Secrets, say: Say) -> Iterator[Api]:
    """The server, up, as its admin sees it."""
    url = postgres.url(keys.database_password)
    say("Medusa starts …")
    medusa.start(url, keys)
    stranger = Api(medusa.base_url)
    try:
        pass_ = token(stranger, "user", keys.admin_email, keys.admin_password)
    except StandError:  # nobody has this account yet
        medusa.create_admin(url, keys)
        pass_ = token(stranger, "user", keys.admin_email, keys.admin_password)
    stranger.close()
    admin = Api(medusa.base_url, bearer(pass_))
    try:
        yield admin
    finally:
        admin.close()


def _with_api_key(home: Path, medusa: Medusa, admin: Api, keys: Secrets) -> Secrets:
    """A secret key that works; Medusa shows one only when it makes it."""
    if keys.api_key:
        holder = Api(medusa.base_url, basic(keys.api_key))
        try:
            holder.get("/admin/stores")
        except StandError:
            pass
        else:
            return keys
        finally:
            holder.close()
    made = admin.post("/admin/api-keys", {"title": f"integration {int(time.time())}", "type": "secret"})
    return keys.with_api_key(made["api_key"]["token"]).write(home)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One command at a time in a home."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StandError(f"Another command is at work in {home}: wait for it, or end it.") from None
        yield


def _clock() -> Say:
    """Progress on stderr, with the seconds since the beginning."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", file=sys.stderr, flush=True)

    return say
