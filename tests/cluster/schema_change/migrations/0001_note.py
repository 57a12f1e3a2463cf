"""What a backward compatible release does to a hot table: a nullable column, an index on it.

Not atomic: an index can be created concurrently only outside of a transaction. Each statement with
a lock that stops requests gives up after a moment and is tried again by the command's caller.
"""

from django.db import migrations

COLUMN = """
BEGIN;
SET LOCAL lock_timeout = '500ms';
ALTER TABLE authx_devicesession ADD COLUMN IF NOT EXISTS note text NULL;
COMMIT;
"""
NO_COLUMN = """
BEGIN;
SET LOCAL lock_timeout = '500ms';
ALTER TABLE authx_devicesession DROP COLUMN IF EXISTS note;
COMMIT;
"""
# A failed attempt leaves an invalid index behind.
INDEX = [
    "DROP INDEX CONCURRENTLY IF EXISTS authx_devicesession_note",
    "CREATE INDEX CONCURRENTLY authx_devicesession_note ON authx_devicesession (note)",
]
NO_INDEX = ["DROP INDEX CONCURRENTLY IF EXISTS authx_devicesession_note"]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("authx", "0001_initial")]
    operations = [
        migrations.RunSQL(COLUMN, NO_COLUMN),
        migrations.RunSQL(INDEX, NO_INDEX),
    ]
