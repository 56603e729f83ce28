//! What must hold for the bytes of transactions.

use super::*;
use crate::client::ErrorCode;
use crate::strategies;
use bytes::Bytes;
use mailstorm_shared::{ServerId, SessionId};
use proptest::prelude::*;

fn txn(body: TxnBody) -> Txn {
    let origin = Origin { server: ServerId::new(3).unwrap(), ticket: 0x0102 };
    Txn { origin: Some(origin), session: SessionId(5), time: 6, body }
}

#[test]
fn the_layout_is_the_one_that_is_on_disks() {
    let set =
        TxnBody::SetData { path: "/a".into(), data: Some(Bytes::from_static(b"xy")), version: 1 };
    let expected = [
        &[1, 3][..],
        &0x0102_u64.to_le_bytes(),
        &5_i64.to_le_bytes(),
        &6_i64.to_le_bytes(),
        &[4, 2, b'/', b'a', 3, b'x', b'y', 2],
    ]
    .concat();
    assert_eq!(txn(set).encode(), expected);
}

#[test]
fn a_refused_write_takes_few_bytes() {
    assert_eq!(txn(TxnBody::Error(ErrorCode::NoNode)).encode().len(), 28);
}

#[test]
fn a_transaction_in_another_format_is_refused_by_name() {
    let mut bytes = txn(TxnBody::Nothing).encode().to_vec();
    bytes[0] = 9;
    let error = Txn::decode(bytes.into()).unwrap_err();
    assert_eq!(error, TxnError::Format { found: 9 });
    assert_eq!(error.to_string(), "a transaction in format 9, where 1 is known");
}

#[test]
fn a_multi_within_a_multi_is_refused() {
    let mut bytes = txn(TxnBody::Multi(vec![TxnBody::Nothing])).encode().to_vec();
    let last = bytes.len() - 1;
    for inner in [&[7, 0][..], &[8, 0]] {
        bytes.truncate(last);
        bytes.extend_from_slice(inner);
        let error = Txn::decode(Bytes::from(bytes.clone())).unwrap_err();
        assert!(matches!(error, TxnError::Malformed(_)), "{error}");
    }
}

#[test]
fn data_shares_the_memory_of_its_transaction() {
    let data = Some(Bytes::from_static(b"xy"));
    let bytes = txn(TxnBody::SetData { path: "/a".into(), data, version: 1 }).encode();
    let TxnBody::SetData { data: Some(data), .. } = Txn::decode(bytes.clone()).unwrap().body else {
        panic!()
    };
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()));
}

proptest! {
    #[test]
    fn transactions_come_back_and_nothing_else_passes_for_one(txn in strategies::txn()) {
        let bytes = txn.encode();
        prop_assert_eq!(bytes.len(), txn.encoded_len());
        for length in 0..bytes.len() {
            prop_assert!(Txn::decode(bytes.slice(..length)).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(Txn::decode(longer.into()).is_err());
        prop_assert_eq!(Txn::decode(bytes), Ok(txn));
    }

    #[test]
    fn whatever_is_read_decoding_ends_and_each_transaction_has_one_encoding(
        txn in strategies::txn(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        garbage in strategies::blob(),
    ) {
        let mut bytes = txn.encode().to_vec();
        let length = bytes.len();
        for (index, byte) in damage {
            bytes[index % length] = byte;
        }
        for bytes in [Bytes::from(bytes), garbage] {
            if let Ok(txn) = Txn::decode(bytes.clone()) {
                prop_assert_eq!(txn.encode(), bytes);
            }
        }
    }
}
