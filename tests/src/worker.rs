//! A worker as its supervisor meets it, without a supervisor: spawn, greet, lease, answer.

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use cynic_proto::codec::{self, Frame};
use cynic_proto::handshake::{Hello, Role};
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::sandbox::{SandboxMode, SandboxPlan, SandboxReport};
use cynic_proto::worker::{FromWorker, ToWorker};
use cynicd::process::{SpawnRequest, Spawner, WorkerProcess};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest that a worker may take for anything, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker that is ready, and the conversation with it.
#[derive(Debug)]
pub struct Conversation {
    /// The process.
    pub worker: WorkerProcess,
    /// What it says it is confined by.
    pub report: SandboxReport,
    inbox: BytesMut,
}

impl Conversation {
    /// Starts a worker and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    pub async fn begin(spawner: &Spawner, program: &Path, mode: SandboxMode) -> Conversation {
        let plan =
            SandboxPlan { mode, supervisor: Some(std::process::id()), ..SandboxPlan::default() };
        let args = vec![serde_json::json!(plan).to_string().into()];
        let request = SpawnRequest { program: program.to_owned(), args, cgroup: None };
        let worker = spawner.spawn(request).await.expect("a worker");
        let report = SandboxReport::default();
        let mut conversation = Conversation { worker, report, inbox: BytesMut::new() };
        conversation.say(&Hello::new(Role::Daemon), &[]).await;
        let greeting: Hello = conversation.hear().await.message().expect("a greeting");
        greeting.expect(Role::Worker).expect("a worker of this version");
        let ready = conversation.hear().await;
        assert!(matches!(ready.message(), Ok(FromWorker::Ready { .. })));
        conversation.report = codec::decode(&ready.payload).expect("a report");
        conversation
    }

    /// Sends a message that is not a greeting.
    pub async fn tell(&mut self, message: &ToWorker, payload: &[u8]) {
        self.say(message, payload).await;
    }

    /// Waits for the next message.
    ///
    /// # Panics
    /// If none comes.
    pub async fn answer(&mut self) -> FromWorker {
        self.hear().await.message().expect("a message")
    }

    async fn say<M: Serialize>(&mut self, message: &M, payload: &[u8]) {
        let mut bytes = Vec::new();
        codec::put(message, payload, FRAME_BYTES_MAX, &mut bytes).expect("fits");
        self.worker.socket.write_all(&bytes).await.expect("taken");
    }

    async fn hear(&mut self) -> Frame {
        let hear = async {
            loop {
                if let Some(frame) = codec::take(&mut self.inbox, FRAME_BYTES_MAX).expect("a frame")
                {
                    return frame;
                }
                let read = self.worker.socket.read_buf(&mut self.inbox).await.expect("readable");
                assert!(read > 0, "the worker closed the socket");
            }
        };
        tokio::time::timeout(PATIENCE, hear).await.expect("an answer in time")
    }
}
