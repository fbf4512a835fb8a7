//! Any bytes off a socket are a frame, an error or a wait for more, and what was decoded survives a
//! second trip.

#![no_main]

use bytes::BytesMut;
use cynic_proto::codec::{self, Frame};
use cynic_proto::explanation;
use cynic_proto::handshake::Hello;
use cynic_proto::judgment::{Details, Judgment};
use cynic_proto::message::{ToClient, ToDaemon};
use cynic_proto::worker::{FromWorker, ToWorker};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Small, so that the limit itself is reached.
const FRAME_BYTES_MAX: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = codec::take(&mut buffer, FRAME_BYTES_MAX) {
        assert!(frame.head.len() + frame.payload.len() <= FRAME_BYTES_MAX);
        again::<Hello>(&frame);
        again::<ToDaemon>(&frame);
        again::<ToClient>(&frame);
        again::<ToWorker>(&frame);
        again::<FromWorker>(&frame);
        again::<Judgment>(&frame);
        again::<Details>(&frame);
        if let Ok(details) = explanation::decode(&frame.payload) {
            explanation::encode(&details).expect("what was decoded can be encoded");
        }
    }
});

/// What decodes also encodes, and to something that decodes to the same. Compared as bytes: NaN is not
/// equal to itself.
fn again<M: Serialize + DeserializeOwned>(frame: &Frame) {
    let Ok(message) = frame.message::<M>() else { return };
    let once = codec::encode(&message).expect("what was decoded can be encoded");
    let message: M = codec::decode(&once).expect("what was encoded can be decoded");
    assert_eq!(once, codec::encode(&message).expect("what was decoded can be encoded"));
}
