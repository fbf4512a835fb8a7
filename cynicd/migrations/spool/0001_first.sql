-- Entries on their way to a database that does not take writes, in the order of submission.
CREATE TABLE spool (
    seq INTEGER PRIMARY KEY,
    task_id BLOB,
    bytes INTEGER NOT NULL,
    entry BLOB NOT NULL
) STRICT;
CREATE INDEX spool_task ON spool (task_id) WHERE task_id IS NOT NULL;

-- Entries that the build which found them could not read: nothing is thrown away.
CREATE TABLE unreadable (
    seq INTEGER PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT;
