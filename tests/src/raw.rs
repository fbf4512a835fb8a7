//! A client without manners: speaks frames itself, so that it sees every reply, also one too many, and can
//! break off wherever it likes.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use cynic_proto::codec::{self, Frame};
use cynic_proto::handshake::{Hello, Role};
use cynic_proto::ids::TaskId;
use cynic_proto::item::Hint;
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{Ack, Judge, Lane, Reply, Request, ToClient, ToDaemon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A connection to a daemon.
#[derive(Debug)]
pub struct RawClient {
    stream: UnixStream,
    inbox: BytesMut,
}

/// A request for a judgment of a JSON item.
pub fn judge(task: TaskId, lane: Lane, ack: Ack) -> Judge {
    Judge { task, retry: false, lane, ack, deadline_ms: None, hint: Hint::default() }
}

impl RawClient {
    /// Connects and greets; `None` if nothing listens or the greeting is not answered.
    pub async fn connect(socket: &Path) -> Option<RawClient> {
        let stream = UnixStream::connect(socket).await.ok()?;
        let mut client = RawClient { stream, inbox: BytesMut::new() };
        client.frame(&Hello::new(Role::Client), &[]).await?;
        client.hear().await?.message::<Hello>().ok()?;
        Some(client)
    }

    /// Connects and says nothing.
    ///
    /// # Panics
    /// If nothing listens.
    pub async fn stranger(socket: &Path) -> RawClient {
        let stream = UnixStream::connect(socket).await.expect("a daemon");
        RawClient { stream, inbox: BytesMut::new() }
    }

    /// Sends a greeting; `None` if the connection broke.
    pub async fn greet(&mut self, hello: &Hello) -> Option<()> {
        self.frame(hello, &[]).await
    }

    /// Sends a request; `None` if the connection broke.
    pub async fn send(&mut self, seq: u64, request: Request, payload: &[u8]) -> Option<()> {
        self.frame(&ToDaemon { seq, request }, payload).await
    }

    /// Sends a request as a client with manners does: it goes on reading while the daemon does not.
    pub async fn send_and_listen(
        &mut self,
        seq: u64,
        request: Request,
        payload: &[u8],
    ) -> Option<()> {
        let mut bytes = Vec::new();
        codec::put(&ToDaemon { seq, request }, payload, FRAME_BYTES_MAX, &mut bytes).ok()?;
        let (mut reader, mut writer) = self.stream.split();
        let mut left = &bytes[..];
        while !left.is_empty() {
            tokio::select! {
                biased;
                written = writer.write(left) => left = &left[written.ok()?..],
                read = reader.read_buf(&mut self.inbox) => {
                    read.ok().filter(|read| *read > 0)?;
                }
            }
        }
        Some(())
    }

    /// Sends any bytes; `None` if the connection broke.
    pub async fn say(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()
    }

    /// The next reply and the number of its request; `None` at the connection's end.
    pub async fn reply(&mut self) -> Option<(u64, Reply)> {
        let ToClient { seq, reply } = self.hear().await?.message().ok()?;
        Some((seq, reply))
    }

    /// The next reply and the payload behind it; `None` at the connection's end.
    pub async fn reply_and_payload(&mut self) -> Option<(Reply, Bytes)> {
        let frame = self.hear().await?;
        let ToClient { reply, .. } = frame.message().ok()?;
        Some((reply, frame.payload))
    }

    async fn frame<M: serde::Serialize>(&mut self, message: &M, payload: &[u8]) -> Option<()> {
        let mut bytes = Vec::new();
        codec::put(message, payload, FRAME_BYTES_MAX, &mut bytes).ok()?;
        self.say(&bytes).await
    }

    async fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = codec::take(&mut self.inbox, FRAME_BYTES_MAX).ok()? {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.inbox).await.ok()? == 0 {
                return None;
            }
        }
    }
}
