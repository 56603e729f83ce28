//! What must hold for the bytes on a link.

use super::*;
use crate::checked::{CHECKED_FRAME_BYTES_MAX, CheckedFrameError};
use crate::strategies;
use crate::txn::Entry;
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c;
use mailstorm_shared::{ServerId, Zxid};
use proptest::prelude::*;

fn receive(frame: Bytes) -> Result<Option<PeerMessage>, PeerFrameError> {
    let mut decoder = PeerDecoder::new();
    decoder.push(frame);
    decoder.next_message()
}

fn receive_hello(frame: Bytes) -> Result<Option<Hello>, PeerFrameError> {
    let mut decoder = PeerDecoder::new();
    decoder.push(frame);
    decoder.next_hello()
}

/// A frame around any body, as a peer with another idea of the protocol might send it.
fn frame_of(body: &[u8]) -> Bytes {
    let length = body.len() as u8;
    [&[length, 0, 0, length ^ 0x5a][..], &crc32c(body).to_le_bytes(), body].concat().into()
}

fn hello() -> Hello {
    Hello {
        version: PEER_PROTOCOL_VERSION,
        ensemble: 0x0102,
        from: ServerId::new(1).unwrap(),
        to: ServerId::new(2).unwrap(),
        purpose: LinkPurpose::Learner,
    }
}

#[test]
fn the_layout_of_a_frame_is_length_check_checksum_body() {
    let ack = PeerMessage::Ack { zxid: Zxid(0x0102) };
    let body = [5, 2, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(encode_message(&ack), frame_of(&body));
    assert_eq!(receive(frame_of(&body)), Ok(Some(ack)));
}

#[test]
fn the_layout_of_a_hello_begins_with_magic_and_version() {
    let body = [&b"mail"[..], &[2, 0], &0x0102_u64.to_le_bytes(), &[1, 2, 1]].concat();
    assert_eq!(encode_hello(&hello()), frame_of(&body));
    assert_eq!(receive_hello(frame_of(&body)), Ok(Some(hello())));
}

#[test]
fn a_peer_of_another_version_is_refused_by_name_whatever_the_rest_looks_like() {
    let error = receive_hello(frame_of(b"mail\x03\x00and more")).unwrap_err();
    assert_eq!(error, PeerFrameError::Version { ours: 2, theirs: 3 });
    assert_eq!(
        error.to_string(),
        "the peer speaks version 3 of the protocol, this server version 2"
    );
}

#[test]
fn what_is_no_peer_is_refused() {
    assert_eq!(receive_hello(frame_of(b"GET / HTTP")), Err(PeerFrameError::NotAHello));
    assert_eq!(receive_hello(frame_of(b"ma")), Err(PeerFrameError::NotAHello));
    let http = Bytes::from_static(b"GET / HTTP/1.1\r\n");
    assert_eq!(receive_hello(http), Err(PeerFrameError::Frame(CheckedFrameError::Length)));
}

#[test]
fn an_unknown_message_a_server_zero_and_left_over_bytes_are_refused() {
    for body in [&[][..], &[0], &[99], &[5, 1], &[18, 0]] {
        let error = receive(frame_of(body)).unwrap_err();
        assert!(matches!(error, PeerFrameError::Malformed(_)), "{error}");
    }
    let nobody = [&b"mail"[..], &[2, 0], &[0; 8], &[0, 2, 1]].concat();
    let error = receive_hello(frame_of(&nobody)).unwrap_err();
    assert!(matches!(error, PeerFrameError::Malformed(_)), "{error}");
}

#[test]
fn a_frame_that_is_too_long_is_refused_at_its_header() {
    let length = CHECKED_FRAME_BYTES_MAX as u32 + 1;
    let [low, middle, high, _] = length.to_le_bytes();
    let header = [low, middle, high, low ^ middle ^ high ^ 0x5a, 0, 0, 0, 0];
    let error = PeerFrameError::Frame(CheckedFrameError::TooLong { length: length as usize });
    assert_eq!(receive(Bytes::copy_from_slice(&header)), Err(error));
}

#[test]
fn after_an_error_nothing_more_comes_out() {
    let good = encode_message(&PeerMessage::Admit);
    let mut bad = good.to_vec();
    bad[8] ^= 1;
    let mut decoder = PeerDecoder::new();
    decoder.push([&good[..], &bad, &good].concat().into());
    assert_eq!(decoder.next_message(), Ok(Some(PeerMessage::Admit)));
    let error = decoder.next_message().unwrap_err();
    assert!(matches!(error, PeerFrameError::Frame(CheckedFrameError::Checksum { .. })));
    assert_eq!(decoder.next_message(), Err(error));
}

#[test]
fn entries_and_chunks_share_the_memory_they_arrived_in() {
    let bytes = Bytes::from_static(b"transaction");
    let entry = Entry { zxid: Zxid(7), bytes: bytes.clone() };
    let frame = encode_message(&PeerMessage::Propose { entry });
    let Ok(Some(PeerMessage::Propose { entry })) = receive(frame.clone()) else { panic!() };
    assert!(frame.as_ptr_range().contains(&entry.bytes.as_ptr()));

    let frame = encode_message(&PeerMessage::SnapshotChunk { bytes });
    let Ok(Some(PeerMessage::SnapshotChunk { bytes })) = receive(frame.clone()) else { panic!() };
    assert!(frame.as_ptr_range().contains(&bytes.as_ptr()));
}

#[test]
#[should_panic(expected = "no peer would take this message")]
fn a_message_that_no_peer_would_take_is_not_sent() {
    let bytes = Bytes::from(vec![0; CHECKED_FRAME_BYTES_MAX]);
    encode_message(&PeerMessage::SnapshotChunk { bytes });
}

#[test]
fn the_longest_transaction_fits_into_a_frame() {
    let bytes = Bytes::from(vec![0; crate::txn::TXN_BYTES_MAX]);
    let message = PeerMessage::Propose { entry: Entry { zxid: Zxid(7), bytes } };
    assert_eq!(receive(encode_message(&message)), Ok(Some(message)));
}

proptest! {
    #[test]
    fn messages_come_back_however_the_stream_is_cut(
        hello in strategies::hello(),
        messages in proptest::collection::vec(strategies::message(), 1..6),
        cuts in proptest::collection::vec(1_usize..60, 1..20),
    ) {
        let mut stream = encode_hello(&hello).to_vec();
        for message in &messages {
            stream.extend_from_slice(&encode_message(message));
        }
        let mut rest = Bytes::from(stream);
        let mut decoder = PeerDecoder::new();
        let (mut hellos, mut received) = (Vec::new(), Vec::new());
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            decoder.push(rest.split_to(cut.min(rest.len())));
            if hellos.is_empty() {
                hellos.extend(decoder.next_hello().unwrap());
            }
            if !hellos.is_empty() {
                while let Some(message) = decoder.next_message().unwrap() {
                    received.push(message);
                }
            }
        }
        prop_assert_eq!(hellos, [hello]);
        prop_assert_eq!(received, messages);
    }

    #[test]
    fn every_flipped_bit_is_found_as_soon_as_the_frame_is_there(message in strategies::message()) {
        let frame = encode_message(&message);
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(receive(flipped.into()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_part_of_a_frame_is_waited_for_and_a_part_of_a_body_is_refused(
        message in strategies::message(),
    ) {
        let frame = encode_message(&message);
        for length in 0..frame.len() {
            prop_assert_eq!(receive(frame.slice(..length)), Ok(None));
        }
        let body = &frame[8..];
        for length in 0..body.len().min(256) {
            prop_assert!(receive(frame_of(&body[..length])).is_err());
        }
    }

    #[test]
    fn whatever_arrives_with_a_good_checksum_decoding_ends_and_has_one_encoding(
        message in strategies::message(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        garbage in strategies::blob(),
    ) {
        let mut body = encode_message(&message)[8..].to_vec();
        body.truncate(255);
        let length = body.len();
        for (index, byte) in damage {
            body[index % length] = byte;
        }
        for body in [&body[..], &garbage] {
            let frame = frame_of(body);
            if let Ok(Some(message)) = receive(frame.clone()) {
                prop_assert_eq!(encode_message(&message), frame.clone());
            }
            if let Ok(Some(hello)) = receive_hello(frame.clone()) {
                prop_assert_eq!(encode_hello(&hello), frame);
            }
        }
    }

    #[test]
    fn whatever_arrives_at_all_decoding_ends(
        chunks in proptest::collection::vec(strategies::blob(), 0..6),
    ) {
        let mut decoder = PeerDecoder::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Ok(Some(_)) = decoder.next_message() {}
        }
    }
}
