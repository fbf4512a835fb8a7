//! A private PostgreSQL server: as an unprivileged user, on a Unix socket in a directory that is removed
//! afterwards, even when the test is killed.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A loaded machine takes its time; only a server that never starts meets this.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// How often it is looked whether it takes connections.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct Server {
    dir: PathBuf,
    /// Whether it waits for the disk: tests that kill it with its machine have none.
    fsync: bool,
    user: User,
    /// Runs the server; its standard input closed, it stops the server and removes the directory.
    guard: Option<Child>,
}

#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Server {
    /// A new server with an empty database `cynic`. Without `fsync` it never waits for the disk.
    pub(crate) fn start(fsync: bool) -> Server {
        let user = User::unprivileged();
        let template = template(user);
        let dir = std::env::temp_dir().join(format!("cynic-pg-{}", uuid::Uuid::now_v7().simple()));
        run(user.command("cp").arg("-r").arg(&template).arg(&dir));
        let mut server = Server { dir, fsync, user, guard: None };
        server.resume();
        server
    }

    /// Starts it (again).
    pub(crate) fn resume(&mut self) {
        assert!(self.guard.is_none(), "it runs already");
        let script = r#""$0" -D "$1" -k "$1" -c listen_addresses= -c fsync="$2" -c max_connections=30 \
            -c shared_buffers=16MB -c autovacuum=off >"$1/log" 2>&1 & pid=$!
            read -r how
            case "$how" in
            crash) kill -9 $pid; wait $pid; exit 0 ;;
            stop) kill -INT $pid; wait $pid; exit 0 ;;
            *) kill -QUIT $pid; wait $pid; rm -rf "$1" ;;
            esac"#;
        let guard = self
            .user
            .command("sh")
            .args(["-c", script])
            .arg(programs().join("postgres"))
            .arg(&self.dir)
            .arg(if self.fsync { "on" } else { "off" })
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.guard = Some(guard);
        let deadline = Instant::now() + START_DEADLINE;
        let ready = || {
            let status = Command::new(programs().join("pg_isready"))
                .args(["-q", "-t", "1", "-h"])
                .arg(&self.dir)
                .status();
            status.is_ok_and(|status| status.success())
        };
        while !ready() {
            assert!(
                Instant::now() < deadline,
                "no server: {:?}",
                fs::read_to_string(self.dir.join("log"))
            );
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Stops it in an orderly way; clients are cut off.
    pub(crate) fn stop(&mut self) {
        self.end("stop");
    }

    /// Kills it with SIGKILL.
    pub(crate) fn crash(&mut self) {
        self.end("crash");
        // The shared memory of a killed server goes with its last process.
        let _ = fs::remove_file(self.dir.join("postmaster.pid"));
    }

    fn end(&mut self, how: &str) {
        use std::io::Write;
        let mut guard = self.guard.take().expect("it runs");
        writeln!(guard.stdin.take().expect("it is piped"), "{how}").unwrap();
        guard.wait().unwrap();
    }

    /// Sends a signal to the server and all of its processes.
    pub(crate) fn signal(&self, signal: &str) {
        // None is there where none runs.
        let Ok(pid) = fs::read_to_string(self.dir.join("postmaster.pid")) else { return };
        let Some(pid) = pid.lines().next() else { return };
        let send = |pid: &str| {
            let mut kill = Command::new("kill");
            let _ = kill.arg(format!("-{signal}")).arg(pid).stderr(Stdio::null()).status();
        };
        // The server first, and its processes twice: one that it was just starting is seen the second time.
        send(pid);
        for _ in 0..2 {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            children.unwrap_or_default().split_whitespace().for_each(send);
        }
    }

    /// A directory that the server may write to.
    pub(crate) fn make_dir(&self, dir: &Path) {
        fs::create_dir(dir).unwrap();
        chown(dir, Some(self.user.uid), Some(self.user.gid)).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        let host = self.dir.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}/cynic")
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(".s.PGSQL.5432")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("CONT");
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl User {
    /// The server refuses to run as root: `postgres` or `nobody` then, else whoever we are.
    fn unprivileged() -> User {
        let this = fs::metadata("/proc/self").unwrap();
        if this.uid() != 0 {
            return User { uid: this.uid(), gid: this.gid() };
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let find = |name: &str| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some(User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        };
        find("postgres").or_else(|| find("nobody")).expect("an unprivileged user")
    }

    fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.uid(self.uid).gid(self.gid).current_dir(std::env::temp_dir());
        command
    }
}

/// Where PostgreSQL's programs are: on the path, or where distributions put them.
fn programs() -> PathBuf {
    if let Some(dir) = std::env::var_os("CYNIC_POSTGRES_BIN") {
        return dir.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path));
    found
        .into_iter()
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
        .expect("PostgreSQL's server programs: `scripts/postgres.sh install` installs them")
}

/// A new data directory takes a second or two to make, and much less to copy.
fn template(user: User) -> PathBuf {
    let version = fs::canonicalize(programs()).unwrap().display().to_string().replace('/', "_");
    let dir = std::env::temp_dir().join(format!("cynic-pg-template-{}{version}", user.uid));
    let lock = File::create(dir.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !dir.exists() {
        let new = dir.with_extension("new");
        let _ = fs::remove_dir_all(&new);
        fs::create_dir(&new).unwrap();
        chown(&new, Some(user.uid), Some(user.gid)).unwrap();
        let mut initdb = user.command(programs().join("initdb"));
        initdb.args(["--no-sync", "--auth=trust", "-U", "postgres", "-E", "UTF8", "--no-locale"]);
        run(initdb.args(["--wal-segsize=1", "-D"]).arg(&new));
        single_user(user, &new, "CREATE DATABASE cynic;\n");
        fs::rename(&new, &dir).unwrap();
    }
    dir
}

fn single_user(user: User, dir: &Path, sql: &str) {
    use std::io::Write;
    let mut server = user
        .command(programs().join("postgres"))
        .args(["--single", "-D"])
        .arg(dir)
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    assert!(server.wait().unwrap().success());
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
