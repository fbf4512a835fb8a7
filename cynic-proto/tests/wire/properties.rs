//! What holds of any message and of any bytes.

use bytes::{Bytes, BytesMut};
use cynic_proto::codec::{self, Frame, FrameError, PREFIX_BYTES};
use cynic_proto::explanation::{self, Encoded};
use cynic_proto::handshake::Hello;
use cynic_proto::judgment::{Details, Judgment};
use cynic_proto::limits::FRAME_BYTES_MAX;
use cynic_proto::message::{ToClient, ToDaemon};
use cynic_proto::sandbox::SandboxReport;
use cynic_proto::worker::{FromWorker, ToWorker};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arbitrary::arbitrary;
use crate::golden::samples;

/// A read buffer that grew for lengths alone would be as large as they say.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// A limit and two lengths: any, and such as just fit each other or just do not.
fn lengths() -> impl Strategy<Value = (usize, u32, u32)> {
    let max = 0..=FRAME_BYTES_MAX;
    let near = |to: u32| prop_oneof![any::<u32>(), to.saturating_sub(2)..to.saturating_add(3)];
    max.prop_flat_map(move |max| (Just(max), near(max as u32)))
        .prop_flat_map(move |(max, len)| (Just(max), Just(len), near(len)))
}

fn survives<M>(seed: u64) -> Result<(), TestCaseError>
where
    M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let message: M = arbitrary(seed);
    let bytes = codec::encode(&message).expect("encodes");
    let again: M = codec::decode(&bytes).expect("decodes");
    prop_assert_eq!(message, again);
    Ok(())
}

/// Decodes the bytes as each type that comes off a socket. What decodes must survive another trip; compared as
/// bytes, because a NaN is not equal to itself.
fn decode_as_anything(bytes: &[u8]) {
    fn again<M: Serialize + DeserializeOwned>(bytes: &[u8]) {
        let Ok(message) = codec::decode::<M>(bytes) else { return };
        let once = codec::encode(&message).expect("encodes");
        let message: M = codec::decode(&once).expect("decodes");
        assert_eq!(once, codec::encode(&message).expect("encodes"));
    }
    again::<Hello>(bytes);
    again::<ToDaemon>(bytes);
    again::<ToClient>(bytes);
    again::<ToWorker>(bytes);
    again::<FromWorker>(bytes);
    again::<Judgment>(bytes);
    again::<Details>(bytes);
    again::<SandboxReport>(bytes);
    if let Ok(details) = explanation::decode(bytes) {
        let once = explanation::encode(&details).expect("encodes");
        let again = explanation::decode(&once).expect("decodes");
        assert_eq!(once, explanation::encode(&again).expect("encodes"));
    }
    if let Ok(encoded) = Encoded::read(bytes) {
        let reworded =
            encoded.reworded(|_, _| None).and_then(|b| explanation::decode(&b).map(drop));
        assert_eq!(reworded.is_ok(), explanation::decode(bytes).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_survives_the_wire(seed: u64) {
        survives::<Hello>(seed)?;
        survives::<ToDaemon>(seed)?;
        survives::<ToClient>(seed)?;
        survives::<ToWorker>(seed)?;
        survives::<FromWorker>(seed)?;
        survives::<Judgment>(seed)?;
        survives::<Details>(seed)?;
        survives::<SandboxReport>(seed)?;
    }

    #[test]
    fn any_explanation_survives(seed: u64) {
        let details: Details = arbitrary(seed);
        let bytes = explanation::encode(&details).expect("encodes");
        prop_assert_eq!(explanation::decode(&bytes).expect("decodes").into_owned(), details);
        for end in 0..bytes.len() {
            prop_assert!(explanation::decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        decode_as_anything(&bytes);
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = codec::take(&mut buffer, FRAME_BYTES_MAX) {
            decode_as_anything(&frame.head);
        }
    }

    /// Nearer to the mark than random bytes: real messages with some bytes changed.
    #[test]
    fn damaged_messages_never_panic(
        sample in 0..samples().len(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = samples().swap_remove(sample).1;
        bytes.drain(..PREFIX_BYTES);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        decode_as_anything(&bytes);
    }

    /// However a stream of frames is cut by the socket, the same frames come out.
    #[test]
    fn frames_survive_any_cutting(
        frames in vec((any::<u64>(), vec(any::<u8>(), 0..300)), 1..6),
        cuts in vec(1_usize..200, 1..50),
    ) {
        let mut stream = Vec::new();
        for (seed, payload) in &frames {
            let message: ToDaemon = arbitrary(*seed);
            codec::put(&message, payload, FRAME_BYTES_MAX, &mut stream).expect("fits");
        }
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cuts.next().expect("endless").min(rest.len()));
            buffer.extend_from_slice(piece);
            rest = after;
            while let Some(frame) = codec::take(&mut buffer, FRAME_BYTES_MAX).expect("sound") {
                found.push(frame);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(found.len(), frames.len());
        for (frame, (seed, payload)) in found.iter().zip(&frames) {
            prop_assert_eq!(frame.message::<ToDaemon>(), Ok(arbitrary::<ToDaemon>(*seed)));
            prop_assert_eq!(&frame.payload[..], &payload[..]);
        }
    }

    /// The lengths are judged before anything is made room for.
    #[test]
    fn hostile_lengths_cost_nothing((max, len, head) in lengths()) {
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&len.to_le_bytes());
        buffer.extend_from_slice(&head.to_le_bytes());
        let (len, head) = (len as usize, head as usize);
        let expected = if len > max {
            Err(FrameError::TooLong { len, max })
        } else if head > len {
            Err(FrameError::HeadTooLong { head, len })
        } else if len == 0 {
            Ok(Some(Frame { head: Bytes::new(), payload: Bytes::new() }))
        } else {
            Ok(None)
        };
        prop_assert_eq!(codec::take(&mut buffer, max), expected);
        prop_assert!(buffer.capacity() <= BUFFER_BYTES_MAX, "{} bytes", buffer.capacity());
    }
}

#[test]
fn a_message_cut_short_at_any_byte_is_no_message() {
    for (name, frame) in samples() {
        for end in 0..frame.len() {
            let mut buffer = BytesMut::from(&frame[..end]);
            assert_eq!(codec::take(&mut buffer, FRAME_BYTES_MAX), Ok(None), "{name} at {end}");
            assert_eq!(&buffer[..], &frame[..end], "what has come is kept");
        }
        let mut buffer = BytesMut::from(&frame[..]);
        let whole = codec::take(&mut buffer, FRAME_BYTES_MAX).expect("sound").expect("whole");
        for end in 0..whole.head.len() {
            let cut = &whole.head[..end];
            let kind = name.split('.').next();
            let error = match kind {
                Some("hello") => codec::decode::<Hello>(cut).err(),
                Some("request") => codec::decode::<ToDaemon>(cut).err(),
                Some("reply") => codec::decode::<ToClient>(cut).err(),
                Some("to_worker") => codec::decode::<ToWorker>(cut).err(),
                _ => codec::decode::<FromWorker>(cut).err(),
            };
            assert!(matches!(error, Some(FrameError::Malformed(_))), "{name} cut at {end}");
        }
    }
}

#[test]
fn bytes_behind_a_message_are_refused() {
    let mut bytes = codec::encode(&ToWorker::Ping(1)).expect("encodes");
    bytes.push(0);
    let error = codec::decode::<ToWorker>(&bytes).expect_err("one too many");
    assert_eq!(error.to_string(), "malformed message: 1 bytes left over");
}

/// A text or a list inside of a message that says it has four gibibytes, or all that there are.
#[test]
fn hostile_lengths_inside_a_message_are_refused() {
    // A list: the verdicts of a history query, behind two absent times.
    for length in [&[252, 255, 255, 255, 255][..], &[253, 255, 255, 255, 255, 255, 255, 255, 255]] {
        let mut query = vec![1, 4, 0, 0];
        query.extend_from_slice(length);
        assert!(codec::decode::<ToDaemon>(&query).is_err());
        // A text: the status behind "ready" and "not degraded".
        let mut pong = vec![1, 3, 1, 0];
        pong.extend_from_slice(length);
        assert!(codec::decode::<ToClient>(&pong).is_err());
    }
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    let mut out = b"before".to_vec();
    let error = codec::put(&ToWorker::Ping(1), &[0; 100], 50, &mut out).expect_err("too long");
    assert_eq!(error, FrameError::TooLong { len: 102, max: 50 });
    assert_eq!(out, b"before");
}
