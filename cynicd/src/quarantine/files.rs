//! The quarantine on disk: a record a file, `TASK.json`, and beside it `TASK.item` where the item is kept.
//!
//! Owns the directory and the thread that writes it. A record that cannot be written is known until the daemon
//! ends; one that cannot be read is removed. Neither stops anything.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use cynic_proto::ids::TaskId;
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::quarantine::QuarantineRecord;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Orders that may wait for the thread: a storm of poison makes a few hundred records a second.
const ORDERS_MAX: usize = 1024;

/// A record of deaths with full texts is a tenth of this; more is not a record.
const RECORD_BYTES_MAX: u64 = 256 * 1024;

/// How long the last writes may take when the daemon ends.
const CLOSE_BUDGET: Duration = Duration::from_secs(2);

/// Why there is no quarantine on disk.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} the quarantine's directory {}", path.display())]
pub struct FilesError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The way to the thread that owns the directory.
#[derive(Debug)]
pub struct Files {
    orders: mpsc::Sender<Order>,
    /// The records that are on disk, or will be.
    on_disk: HashSet<TaskId>,
    /// Those of them that are to go, and that the thread had no room for: one that came back at the next start would be
    /// refused again. Nothing is written before they have gone, so they are no more than were on disk.
    to_remove: Vec<TaskId>,
    /// Closed when the thread ends.
    ended: oneshot::Receiver<()>,
}

enum Order {
    Write(Box<QuarantineRecord>, Option<Bytes>),
    Remove(Vec<TaskId>),
    Read(TaskId, oneshot::Sender<io::Result<Bytes>>),
}

impl Files {
    /// Opens the directory, making it if it is not there, and reads what is in it.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(directory: &Path) -> Result<(Files, Vec<QuarantineRecord>), FilesError> {
        let failed =
            |action| move |source| FilesError { action, path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("make"))?;
        let records = load(directory).map_err(failed("read"))?;
        let (orders, waiting) = mpsc::channel(ORDERS_MAX);
        let (ending, ended) = oneshot::channel();
        let directory_of_thread = directory.to_owned();
        std::thread::Builder::new()
            .name("quarantine".to_owned())
            .spawn(move || {
                serve(&directory_of_thread, waiting);
                drop::<oneshot::Sender<()>>(ending);
            })
            .map_err(failed("start the thread of"))?;
        let on_disk = records.iter().map(|record| record.task).collect();
        Ok((Files { orders, on_disk, to_remove: Vec::new(), ended }, records))
    }

    /// Keeps a record, and its item where one is given.
    pub fn write(&mut self, record: QuarantineRecord, item: Option<Bytes>) {
        let task = record.task;
        self.remove_again();
        // In order: what is to go may have the same name.
        if self.to_remove.is_empty() && self.order(Order::Write(Box::new(record), item)) {
            self.on_disk.insert(task);
        } else {
            tracing::error!(%task, "a quarantined item's record is not kept: the disk does not keep up");
        }
    }

    /// Removes records and their items.
    pub fn remove(&mut self, tasks: Vec<TaskId>) {
        self.to_remove.extend(tasks.into_iter().filter(|task| self.on_disk.remove(task)));
        self.remove_again();
    }

    /// Sends the thread what it had no room for before.
    pub fn remove_again(&mut self) {
        if self.to_remove.is_empty() {
            return;
        }
        if let Ok(room) = self.orders.try_reserve() {
            room.send(Order::Remove(std::mem::take(&mut self.to_remove)));
        }
    }

    /// Reads a record's item.
    ///
    /// # Errors
    /// It is not kept, or cannot be read.
    pub fn read(&self, task: TaskId) -> impl Future<Output = io::Result<Bytes>> + use<> {
        let (answer, answered) = oneshot::channel();
        // Without room for it, whoever waits for the answer is told that there is none.
        self.order(Order::Read(task, answer));
        async move { answered.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())) }
    }

    fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Waits until what was ordered is done, for a while.
    pub async fn close(self) {
        let done = async {
            // The thread ends before only by a panic.
            drop(self.orders.send(Order::Remove(self.to_remove)).await);
            drop(self.orders);
            drop(self.ended.await);
        };
        if timeout(CLOSE_BUDGET, done).await.is_err() {
            tracing::error!("the quarantine's files were not written in time");
        }
    }
}

fn serve(directory: &Path, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Write(record, item) => {
                if let Err(error) = write(directory, &record, item.as_ref()) {
                    let task = record.task;
                    tracing::error!(%task, %error, "could not keep a quarantined item's record");
                }
            }
            Order::Remove(tasks) => {
                for task in tasks {
                    for ending in ["json", "item"] {
                        remove(&path(directory, task, ending));
                    }
                }
            }
            Order::Read(task, answer) => {
                // Who asked may have gone.
                let _ = answer.send(read(&path(directory, task, "item"), FRAME_BYTES_MAX as u64));
            }
        }
    }
}

fn path(directory: &Path, task: TaskId, ending: &str) -> PathBuf {
    directory.join(format!("{task}.{ending}"))
}

fn write(directory: &Path, record: &QuarantineRecord, item: Option<&Bytes>) -> io::Result<()> {
    // The item first: a record that says that its item is kept must be right.
    if let Some(item) = item {
        replace(&path(directory, record.task, "item"), item)?;
    }
    let json = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
    replace(&path(directory, record.task, "json"), &json)
}

/// Writes a file in whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&next, path)
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other("the file is too large"));
    }
    Ok(bytes.into())
}

/// What is in the directory. What is no record, or belongs to none, is removed.
fn load(directory: &Path) -> io::Result<Vec<QuarantineRecord>> {
    let (mut records, mut items) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => match load_record(&path) {
                Ok(record) => records.push(record),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "not a record; removed");
                    remove(&path);
                }
            },
            Some("item") => items.push(path),
            Some("next") => remove(&path),
            _ => {}
        }
    }
    let kept: HashSet<PathBuf> =
        records.iter().filter(|r| r.kept).map(|r| path(directory, r.task, "item")).collect();
    items.iter().filter(|item| !kept.contains(*item)).for_each(|item| remove(item));
    for record in &mut records {
        record.kept &= items.contains(&path(directory, record.task, "item"));
    }
    records.sort_by_key(|record| record.at_us);
    Ok(records)
}

fn load_record(path: &Path) -> io::Result<QuarantineRecord> {
    let bytes = read(path, RECORD_BYTES_MAX)?;
    let mut record: QuarantineRecord = serde_json::from_slice(&bytes)?;
    record.hits = 0;
    // Its name is what it is removed by.
    if path.file_stem().and_then(|stem| stem.to_str()) != Some(&record.task.to_string()) {
        return Err(io::Error::other("its name is not its task's"));
    }
    Ok(record)
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(path = %path.display(), %error, "could not remove a file");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::record;
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).expect("readable").flatten();
        let mut names: Vec<String> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn records_and_items_survive() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("quarantine");
        let (mut files, none) = Files::open(&directory).expect("opened");
        assert_eq!(none, []);
        let (kept, hashed) = (record(1, 10), QuarantineRecord { kept: false, ..record(2, 5) });
        files.write(kept.clone(), Some(Bytes::from_static(b"poison")));
        files.write(hashed.clone(), None);
        assert_eq!(&files.read(TaskId(1)).await.expect("kept")[..], b"poison");
        assert!(files.read(TaskId(2)).await.is_err());
        files.close().await;
        let (mut files, loaded) = Files::open(&directory).expect("opened again");
        assert_eq!(loaded, [hashed, kept], "oldest first");
        files.remove(vec![TaskId(1)]);
        files.close().await;
        assert_eq!(names(&directory), [format!("{}.json", TaskId(2))]);
    }

    #[tokio::test]
    async fn what_is_removed_does_not_come_back_because_the_disk_does_not_keep_up() {
        let home = tempfile::tempdir().expect("a directory");
        let of = |task| QuarantineRecord { kept: false, ..record(task, 0) };
        let (mut files, _) = Files::open(home.path()).expect("opened");
        (1..=3).for_each(|task| files.write(of(task), None));
        // The thread reads a pipe until its other end is closed, and more waits for it than it may.
        let (pipe, fifo) = (path(home.path(), TaskId(9), "item"), rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, 0o600.into(), 0).expect("made");
        let reading = files.read(TaskId(9));
        let writer = File::options().write(true).open(&pipe).expect("the thread is at it");
        while files.orders.capacity() > 0 {
            drop(files.read(TaskId(8)));
        }
        files.remove(vec![TaskId(1)]);
        files.remove(vec![TaskId(2)]);
        files.write(of(2), None);
        files.write(of(4), None);
        drop(writer);
        assert_eq!(reading.await.expect("an empty item"), Bytes::new());
        files.close().await;
        let (files, left) = Files::open(home.path()).expect("opened again");
        files.close().await;
        assert_eq!(left, [of(3)]);
    }

    #[tokio::test]
    async fn what_is_no_record_is_removed() {
        let home = tempfile::tempdir().expect("a directory");
        let put =
            |name: String, bytes: &[u8]| fs::write(home.path().join(name), bytes).expect("written");
        put(format!("{}.json", TaskId(1)), b"{\"task\": 3");
        put(format!("{}.json", TaskId(2)), &serde_json::to_vec(&record(3, 0)).expect("JSON"));
        put(format!("{}.json", TaskId(4)), &vec![b' '; RECORD_BYTES_MAX as usize + 1]);
        put(format!("{}.item", TaskId(5)), b"an orphan");
        put(format!("{}.next", TaskId(6)), b"half");
        put("README".to_owned(), b"somebody's own");
        // Says that its item is kept, but it is not there.
        put(format!("{}.json", TaskId(7)), &serde_json::to_vec(&record(7, 0)).expect("JSON"));
        let (files, loaded) = Files::open(home.path()).expect("opened");
        files.close().await;
        assert_eq!(loaded, [QuarantineRecord { kept: false, ..record(7, 0) }]);
        assert_eq!(names(home.path()), [format!("{}.json", TaskId(7)), "README".to_owned()]);
    }
}
