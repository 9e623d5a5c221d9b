"""What a program that knew only the first migration left in a database."""

from sampling.records import Change, Key, Stored
from storage.checksum import checksum_of
from storage.interface import Write
from storage.migrate import migrations

COMMIT_ID = "c" * 16


def stored(write: Write) -> Stored:
    """The record of ``one_commit``."""
    assert write.body is not None
    return Stored(1, COMMIT_ID, write.body)


def one_commit(write: Write) -> list[str]:
    """Statements that commit a service as revision 1 to what the first migration made."""
    body, name = stored(write).body.decode(), write.key.name
    checksum = checksum_of([Change(write.key, stored(write)), Change(Key("policy", "default"), Stored(0, "", b""))])
    then = "(SELECT created_at FROM revisions WHERE revision = 0)"
    return [
        f"INSERT INTO revisions VALUES (1, '{COMMIT_ID}', {then}, 'me', 'why', '{checksum:016x}')",
        f"INSERT INTO changes VALUES (1, 0, 'service', '{name}', NULL, '{body}')",
        f"""
        INSERT INTO tracing_configurations (service_name, record, revision, commit_id, created_at, updated_at)
        VALUES ('{name}', '{body}', 1, '{COMMIT_ID}', {then}, {then})
        """,
        "UPDATE store SET revision = 1",
    ]


def backup(product: str, store_id: str, write: Write) -> str:
    """A script that restores a store with this commit."""
    first = migrations(product)[0]
    return ";\n".join(
        [
            first.sql.rstrip().removesuffix(";"),
            f"""
            INSERT INTO schema_migrations (number, name, checksum, oldest_program)
            VALUES (1, '{first.name}', '{first.checksum}', 1)
            """,
            f"UPDATE store SET store_id = '{store_id}'",
            *one_commit(write),
            "",
        ]
    )
