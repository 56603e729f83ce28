//! Golden bytes of the client protocol, and what must hold for all of it.

use super::*;
use crate::raw::Malformed;
use crate::strategies;
use bytes::Bytes;
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{SessionId, Zxid};
use proptest::prelude::*;

/// Bytes written as hex; blanks are for the reader.
fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn check_request(xid: i32, request: Request, bytes: &str) {
    assert_eq!(encode_request(xid, &request), hex(bytes), "{request:?}");
    assert_eq!(decode_request(hex(bytes)), Ok((xid, request)));
}

fn check_reply(zxid: u64, reply: Reply, shape: ReplyShape, bytes: &str) {
    let header = ReplyHeader { xid: 5, zxid: Zxid(zxid), error: None };
    assert_eq!(encode_reply(&header, Some(&reply)), hex(bytes), "{reply:?}");
    assert_eq!(decode_reply(hex(bytes), shape), Ok((header, Ok(reply))));
}

fn stat() -> Stat {
    Stat {
        czxid: Zxid(1),
        mzxid: Zxid(2),
        ctime: 3,
        mtime: 4,
        version: 5,
        cversion: 6,
        aversion: 7,
        ephemeral_owner: SessionId(8),
        data_length: 9,
        num_children: 10,
        pzxid: Zxid(11),
    }
}

const STAT: &str = "0000000000000001 0000000000000002 0000000000000003 0000000000000004
    00000005 00000006 00000007 0000000000000008 00000009 0000000a 000000000000000b";

#[test]
fn a_handshake_has_44_bytes_or_45_with_the_read_only_byte() {
    let mut request = ConnectRequest {
        last_zxid_seen: Zxid(0x0102),
        timeout: 10_000,
        session: SessionId(-2),
        password: Bytes::from_static(&[7; 16]),
        read_only: None,
    };
    let old = "00000000 0000000000000102 00002710 fffffffffffffffe
        00000010 07070707070707070707070707070707";
    assert_eq!(hex(old).len(), 44);
    assert_eq!(encode_connect_request(&request), hex(old));
    assert_eq!(decode_connect_request(hex(old)), Ok(request.clone()));

    request.read_only = Some(true);
    let new = format!("{old} 01");
    assert_eq!(hex(&new).len(), 45);
    assert_eq!(encode_connect_request(&request), hex(&new));
    assert_eq!(decode_connect_request(hex(&new)), Ok(request));
}

#[test]
fn the_answer_to_a_handshake_has_36_bytes_or_37_with_the_read_only_byte() {
    let mut response = ConnectResponse {
        timeout: 4_000,
        session: SessionId(0x0100_0000_0001),
        password: Bytes::from_static(&[9; 16]),
        read_only: None,
    };
    let old = "00000000 00000fa0 0000010000000001 00000010 09090909090909090909090909090909";
    assert_eq!(hex(old).len(), 36);
    assert_eq!(encode_connect_response(&response), hex(old));
    assert_eq!(decode_connect_response(hex(old)), Ok(response.clone()));

    response.read_only = Some(false);
    let new = format!("{old} 00");
    assert_eq!(hex(&new).len(), 37);
    assert_eq!(encode_connect_response(&response), hex(&new));
    assert_eq!(decode_connect_response(hex(&new)), Ok(response));
}

#[test]
fn a_client_that_has_seen_less_than_nothing_has_seen_nothing() {
    let request = "00002710 0000000000000000 ffffffff";
    for seen in ["ffffffffffffffff", "fffffffffffffff9", "8000000000000000"] {
        let frame = hex(&format!("00000000 {seen} {request}"));
        let request = decode_connect_request(frame).unwrap();
        assert_eq!(request.last_zxid_seen, Zxid::ZERO, "{seen}");
        assert_eq!(request.password, Bytes::new());
    }
}

#[test]
fn watches_of_a_client_that_has_seen_less_than_nothing_are_told_of_everything() {
    let frame = hex("fffffff8 00000065 fffffffffffffff9 00000000 00000000 00000000");
    let request = Request::SetWatches(SetWatches::default());
    assert_eq!(decode_request(frame), Ok((xid::SET_WATCHES, request)));
}

#[test]
fn four_letter_words_are_known_or_not() {
    for word in FourLetterWord::ALL {
        assert_eq!(FourLetterWord::parse(word.as_bytes()), Some(word));
        let as_length = u32::from_be_bytes(*word.as_bytes()) as usize;
        assert!(as_length > crate::frame::REPLY_BYTES_MAX, "a word is no frame's length");
    }
    assert_eq!(FourLetterWord::parse(b"kill"), None);
}

#[test]
fn requests_without_a_record_are_eight_bytes() {
    check_request(xid::PING, Request::Ping, "fffffffe 0000000b");
    check_request(3, Request::WhoAmI, "00000003 0000006b");
    check_request(4, Request::CloseSession, "00000004 fffffff5");
}

#[test]
fn reads_are_a_path_and_whether_to_watch() {
    let path: std::sync::Arc<str> = "/a".into();
    let record = "00000002 2f61";
    for (request, opcode, watch) in [
        (Request::Exists { path: path.clone(), watch: true }, "03", "01"),
        (Request::GetData { path: path.clone(), watch: false }, "04", "00"),
        (Request::Children { path: path.clone(), watch: true, stat: false }, "08", "01"),
        (Request::Children { path: path.clone(), watch: false, stat: true }, "0c", "00"),
        (Request::GetAcl { path: path.clone() }, "06", ""),
        (Request::Sync { path: path.clone() }, "09", ""),
        (Request::Ephemerals { prefix: path.clone() }, "67", ""),
        (Request::AllChildrenNumber { path: path.clone() }, "68", ""),
    ] {
        check_request(1, request, &format!("00000001 000000{opcode} {record} {watch}"));
    }
}

fn create(mode: CreateMode, ttl: i64, stat: bool) -> Request {
    Request::Write(Write::Create {
        path: "/a".into(),
        data: Some(Bytes::from_static(b"xy")),
        acl: vec![Acl {
            permissions: permission::ALL,
            scheme: "world".into(),
            id: "anyone".into(),
        }],
        mode,
        ttl,
        stat,
    })
}

#[test]
fn the_opcode_of_a_create_follows_from_its_mode_and_from_what_it_wants_to_hear() {
    let record = "00000002 2f61 00000002 7879
        00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65";
    use CreateMode::{Container, EphemeralSequential, Persistent, PersistentTtl};
    for (request, opcode, rest) in [
        (create(Persistent, 0, false), "01", "00000000"),
        (create(EphemeralSequential, 0, true), "0f", "00000003"),
        (create(Container, 0, true), "13", "00000004"),
        (create(PersistentTtl, 500, true), "15", "00000005 00000000000001f4"),
    ] {
        check_request(1, request, &format!("00000001 000000{opcode} {record} {rest}"));
    }
}

#[test]
fn null_data_and_empty_data_are_kept_apart() {
    let set = |data| Request::Write(Write::SetData { path: "/a".into(), data, version: -1 });
    check_request(1, set(None), "00000001 00000005 00000002 2f61 ffffffff ffffffff");
    check_request(1, set(Some(Bytes::new())), "00000001 00000005 00000002 2f61 00000000 ffffffff");
}

#[test]
fn deletes_and_access_lists_carry_the_version_demanded() {
    let delete = Request::Write(Write::Delete { path: "/a".into(), version: 7 });
    check_request(1, delete, "00000001 00000002 00000002 2f61 00000007");
    let set_acl = Request::Write(Write::SetAcl { path: "/a".into(), acl: Vec::new(), version: -1 });
    check_request(1, set_acl, "00000001 00000007 00000002 2f61 00000000 ffffffff");
}

#[test]
fn auth_carries_a_type_that_nobody_reads() {
    let auth = Request::Auth { scheme: "digest".into(), credentials: Bytes::from_static(b"u:p") };
    check_request(
        xid::AUTH,
        auth,
        "fffffffc 00000064 00000000 00000006 646967657374 00000003 753a70",
    );
}

#[test]
fn watches_are_re_armed_in_the_old_form_unless_there_are_persistent_ones() {
    let mut watches = SetWatches {
        relative_zxid: Zxid(9),
        data: vec!["/d".into()],
        child: vec!["/c".into(), "/e".into()],
        ..SetWatches::default()
    };
    let record = "0000000000000009 00000001 00000002 2f64 00000000
        00000002 00000002 2f63 00000002 2f65";
    let request = Request::SetWatches(watches.clone());
    check_request(xid::SET_WATCHES, request, &format!("fffffff8 00000065 {record}"));

    watches.persistent_recursive = vec!["/r".into()];
    let record = format!("{record} 00000000 00000001 00000002 2f72");
    let request = Request::SetWatches(watches);
    check_request(xid::SET_WATCHES, request, &format!("fffffff8 00000069 {record}"));
}

#[test]
fn lasting_watches_are_added_checked_and_removed_by_number() {
    let path: std::sync::Arc<str> = "/a".into();
    let add = Request::AddWatch { path: path.clone(), mode: AddWatchMode::PersistentRecursive };
    check_request(1, add, "00000001 0000006a 00000002 2f61 00000001");
    let check = Request::CheckWatches { path: path.clone(), kind: WatcherType::Any };
    check_request(1, check, "00000001 00000011 00000002 2f61 00000003");
    let remove = Request::RemoveWatches { path, kind: WatcherType::Children };
    check_request(1, remove, "00000001 00000012 00000002 2f61 00000001");
}

const LAST_STEP: &str = "ffffffff 01 ffffffff";

#[test]
fn a_multi_is_a_list_of_steps_and_a_header_after_the_last() {
    let multi = Request::Multi(vec![
        Write::Check { path: "/a".into(), version: 3 },
        Write::Delete { path: "/b".into(), version: -1 },
    ]);
    let steps = "0000000d 00 ffffffff 00000002 2f61 00000003
        00000002 00 ffffffff 00000002 2f62 ffffffff";
    check_request(1, multi, &format!("00000001 0000000e {steps} {LAST_STEP}"));
    check_request(1, Request::Multi(Vec::new()), &format!("00000001 0000000e {LAST_STEP}"));
}

#[test]
fn a_multi_read_has_room_for_watches_and_leaves_none() {
    let reads = vec![Read::GetData { path: "/a".into() }, Read::Children { path: "/b".into() }];
    let steps = |watch| {
        format!(
            "00000001 00000016 00000004 00 ffffffff 00000002 2f61 {watch}
             00000008 00 ffffffff 00000002 2f62 {watch} {LAST_STEP}"
        )
    };
    check_request(1, Request::MultiRead(reads.clone()), &steps("00"));
    assert_eq!(decode_request(hex(&steps("01"))), Ok((1, Request::MultiRead(reads))));
}

#[test]
fn an_unknown_operation_and_a_bare_check_are_answered_by_minus_six_without_a_zxid() {
    for opcode in ["0000000d", "00000000", "00000066", "fffffff6", "0000ffff"] {
        let frame = hex(&format!("00000007 {opcode} 00000002 2f61 00000000"));
        let error = decode_request(frame).unwrap_err();
        assert!(matches!(error, RequestError::Unimplemented { xid: 7, .. }), "{error}");
        assert!(error.hangs_up());
    }
    assert_eq!(encode_unimplemented(7), hex("00000007 ffffffffffffffff fffffffa"));
}

#[test]
fn a_request_without_a_header_has_no_answer() {
    let error = decode_request(hex("00000007 000000")).unwrap_err();
    assert!(matches!(error, RequestError::NoHeader(_)));
    assert_eq!((error.xid(), error.error()), (None, None));
    assert!(error.hangs_up());
}

#[test]
fn a_record_that_is_not_what_its_opcode_says_is_answered_by_minus_five() {
    // As a step, both would be complete: a path, an empty access list, a version; a path, a
    // version.
    let set_acl = format!("00000007 00 ffffffff 00000002 2f61 00000000 ffffffff {LAST_STEP}");
    let delete = format!("00000002 00 ffffffff 00000002 2f61 ffffffff {LAST_STEP}");
    for frame in [
        "00000007 00000003 00000005 2f61 00".into(), // a path that is too short
        "00000007 0000006a 00000002 2f61 00000002".into(), // a third mode of addWatch
        "00000007 00000012 00000002 2f61 00000000".into(), // watcher types begin at 1
        format!("00000007 0000000e {set_acl}"),
        format!("00000007 00000016 {delete}"),
    ] {
        let error = decode_request(hex(&frame)).unwrap_err();
        assert!(matches!(error, RequestError::Malformed { xid: 7, .. }), "{error}");
        assert!(!error.hangs_up());
        assert_eq!(error.error(), Some(ErrorCode::MarshallingError));
    }
}

#[test]
fn a_create_of_an_unknown_kind_or_with_an_opcode_of_another_kind_is_answered_by_minus_eight() {
    let record = "00000002 2f61 ffffffff 00000000";
    for (opcode, rest) in [
        ("01", "00000007"),                  // no such kind
        ("0f", "ffffffff"),                  // nor this
        ("01", "00000005"),                  // a TTL znode without a time-to-live
        ("15", "00000000 0000000000000000"), // a time-to-live for a persistent znode
        ("13", "00000001"),                  // a container that is ephemeral
    ] {
        let error =
            decode_request(hex(&format!("00000007 000000{opcode} {record} {rest}"))).unwrap_err();
        assert_eq!(error.error(), Some(ErrorCode::BadArguments), "{error}");
        assert_eq!(error.xid(), Some(7));
        assert!(!error.hangs_up());
    }
}

#[test]
fn a_change_of_the_membership_is_refused_and_the_connection_goes_on() {
    let error = decode_request(hex("00000007 00000010")).unwrap_err();
    assert_eq!((error.xid(), error.error()), (Some(7), Some(ErrorCode::ReconfigDisabled)));
    assert!(!error.hangs_up());
}

#[test]
fn a_null_path_is_read_as_the_empty_one() {
    let frame = hex("00000001 00000003 ffffffff 00");
    let request = Request::Exists { path: "".into(), watch: false };
    assert_eq!(decode_request(frame), Ok((1, request)));
}

#[test]
fn what_a_later_version_appends_to_a_request_is_ignored() {
    let frame = hex("00000001 00000006 00000002 2f61 c0ffee");
    assert_eq!(decode_request(frame), Ok((1, Request::GetAcl { path: "/a".into() })));
}

#[test]
fn a_stat_has_68_bytes() {
    assert_eq!(hex(STAT).len(), 68);
    let bytes = format!("00000005 0000000000000063 00000000 {STAT}");
    check_reply(99, Reply::Stat(stat()), ReplyShape::Stat, &bytes);
}

#[test]
fn replies_are_a_header_and_a_record() {
    let header = "00000005 0000000000000001 00000000";
    let path: std::sync::Arc<str> = "/a".into();
    let path_bytes = "00000002 2f61";
    use ReplyShape::{Acl as AclShape, *};
    for (reply, shape, record) in [
        (Reply::Empty, Empty, String::new()),
        (
            Reply::Created { path: path.clone(), stat: None },
            Created { stat: false },
            path_bytes.into(),
        ),
        (
            Reply::Created { path: path.clone(), stat: Some(stat()) },
            Created { stat: true },
            format!("{path_bytes} {STAT}"),
        ),
        (Reply::Data { data: None, stat: stat() }, Data, format!("ffffffff {STAT}")),
        (Reply::Acl { acl: Vec::new(), stat: stat() }, AclShape, format!("00000000 {STAT}")),
        (
            Reply::Children { names: vec!["a".into()], stat: None },
            Children { stat: false },
            "00000001 00000001 61".into(),
        ),
        (
            Reply::Children { names: Vec::new(), stat: Some(stat()) },
            Children { stat: true },
            format!("00000000 {STAT}"),
        ),
        (Reply::Ephemerals(vec![path.clone()]), Ephemerals, format!("00000001 {path_bytes}")),
        (Reply::AllChildrenNumber(6), AllChildrenNumber, "00000006".into()),
        (Reply::Synced(path.clone()), Synced, path_bytes.into()),
        (
            Reply::WhoAmI(vec![("ip".into(), "::1".into())]),
            WhoAmI,
            "00000001 00000002 6970 00000003 3a3a31".into(),
        ),
        (Reply::WatchAdded, WatchAdded, "00000000".into()),
    ] {
        check_reply(1, reply, shape, &format!("{header} {record}"));
    }
}

#[test]
fn a_multi_that_was_done_has_a_record_for_each_step() {
    let reply = Reply::Multi(vec![
        MultiReply::Created { path: "/a".into(), stat: None },
        MultiReply::Created { path: "/b".into(), stat: Some(stat()) },
        MultiReply::Deleted,
        MultiReply::DataSet(stat()),
        MultiReply::Checked,
    ]);
    let bytes = format!(
        "00000005 0000000000000001 00000000
         00000001 00 00000000 00000002 2f61
         0000000f 00 00000000 00000002 2f62 {STAT}
         00000002 00 00000000
         00000005 00 00000000 {STAT}
         0000000d 00 00000000
         {LAST_STEP}"
    );
    check_reply(1, reply, ReplyShape::Multi, &bytes);
}

#[test]
fn a_multi_that_failed_has_zero_before_the_culprit_and_minus_two_after_it() {
    let reply = Reply::Multi(vec![
        MultiReply::Error(None),
        MultiReply::Error(Some(ErrorCode::NodeExists)),
        MultiReply::Error(Some(ErrorCode::RuntimeInconsistency)),
    ]);
    let bytes = format!(
        "00000005 0000000000000001 00000000
         ffffffff 00 00000000 00000000
         ffffffff 00 ffffff92 ffffff92
         ffffffff 00 fffffffe fffffffe
         {LAST_STEP}"
    );
    check_reply(1, reply, ReplyShape::Multi, &bytes);
}

#[test]
fn a_multi_read_may_fail_in_part() {
    let reply = Reply::Multi(vec![
        MultiReply::Data { data: Some(Bytes::from_static(b"x")), stat: stat() },
        MultiReply::Error(Some(ErrorCode::NoNode)),
        MultiReply::Children(vec!["c".into()]),
    ]);
    let bytes = format!(
        "00000005 0000000000000001 00000000
         00000004 00 00000000 00000001 78 {STAT}
         ffffffff 00 ffffff9b ffffff9b
         00000008 00 00000000 00000001 00000001 63
         {LAST_STEP}"
    );
    check_reply(1, reply, ReplyShape::Multi, &bytes);
}

#[test]
fn a_reply_with_an_error_is_its_header_alone() {
    let header =
        ReplyHeader { xid: xid::AUTH, zxid: Zxid::ZERO, error: Some(ErrorCode::AuthFailed) };
    let bytes = hex("fffffffc 0000000000000000 ffffff8d");
    assert_eq!(encode_reply(&header, Some(&Reply::Stat(stat()))), bytes);
    let expected = Ok((header, Err(ErrorCode::AuthFailed)));
    assert_eq!(decode_reply(bytes, ReplyShape::Stat), expected);
}

#[test]
fn errors_of_other_servers_become_the_nearest_of_ours() {
    for (code, error) in [
        ("ffffff83", ErrorCode::SystemError),    // -125, quota exceeded
        ("fffffff4", ErrorCode::SessionExpired), // -12, unknown session
        ("ffffff86", ErrorCode::OperationTimeout), // -122, request timeout
        ("00000001", ErrorCode::SystemError),    // nobody's
    ] {
        let frame = hex(&format!("00000005 ffffffffffffffff {code}"));
        let (header, reply) = decode_reply(frame, ReplyShape::Stat).unwrap();
        assert_eq!(reply, Err(error));
        assert_eq!(header.zxid, Zxid::ZERO, "-1 is not after all of history");
    }
}

#[test]
fn an_event_carries_its_change_or_minus_one() {
    let mut event = WatchEvent {
        kind: WatchEventKind::Change(EventKind::ChildrenChanged),
        path: "/a".into(),
        zxid: Zxid(0x99),
    };
    let with_zxid = hex("ffffffff 0000000000000099 00000000 00000004 00000003 00000002 2f61");
    assert_eq!(encode_event(&event), with_zxid);
    assert_eq!(decode_event(with_zxid), Ok(event.clone()));

    event.zxid = Zxid::ZERO;
    event.kind = WatchEventKind::PersistentWatchRemoved;
    let without = hex("ffffffff ffffffffffffffff 00000000 00000007 00000003 00000002 2f61");
    assert_eq!(encode_event(&event), without);
    assert_eq!(decode_event(without), Ok(event));
}

#[test]
fn what_is_no_event_is_refused() {
    let reply = hex("00000005 0000000000000099 00000000 00000004 00000003 00000002 2f61");
    assert!(matches!(decode_event(reply), Err(Malformed::Value { value: 5, .. })));
    let unknown = hex("ffffffff 0000000000000099 00000000 00000008 00000003 00000002 2f61");
    assert!(matches!(decode_event(unknown), Err(Malformed::Value { value: 8, .. })));
}

#[test]
fn data_shares_the_memory_of_its_frame() {
    let frame = encode_request(1, &create(CreateMode::Persistent, 0, false));
    let (_, request) = decode_request(frame.clone()).unwrap();
    let Request::Write(Write::Create { data: Some(data), .. }) = request else { panic!() };
    assert!(frame.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn a_mebibyte_of_data_fits_into_a_request() {
    let data = Some(Bytes::from(vec![7; 1 << 20]));
    let set = Request::Write(Write::SetData { path: "/a".into(), data, version: -1 });
    assert!(encode_request(1, &set).len() <= crate::frame::REQUEST_BYTES_MAX);
}

/// Every proper beginning of `frame` is refused.
fn no_beginning_passes<T>(
    frame: &Bytes,
    decode: impl Fn(Bytes) -> Option<T>,
) -> Result<(), TestCaseError> {
    for length in 0..frame.len() {
        prop_assert!(decode(frame.slice(..length)).is_none(), "{length} bytes were enough");
    }
    Ok(())
}

fn shape_of(reply: &Reply) -> ReplyShape {
    match reply {
        Reply::Empty => ReplyShape::Empty,
        Reply::Created { stat, .. } => ReplyShape::Created { stat: stat.is_some() },
        Reply::Stat(_) => ReplyShape::Stat,
        Reply::Data { .. } => ReplyShape::Data,
        Reply::Acl { .. } => ReplyShape::Acl,
        Reply::Children { stat, .. } => ReplyShape::Children { stat: stat.is_some() },
        Reply::Ephemerals(_) => ReplyShape::Ephemerals,
        Reply::AllChildrenNumber(_) => ReplyShape::AllChildrenNumber,
        Reply::Synced(_) => ReplyShape::Synced,
        Reply::WhoAmI(_) => ReplyShape::WhoAmI,
        Reply::WatchAdded => ReplyShape::WatchAdded,
        Reply::Multi(_) => ReplyShape::Multi,
    }
}

const SHAPES: [ReplyShape; 14] = [
    ReplyShape::Empty,
    ReplyShape::Created { stat: false },
    ReplyShape::Created { stat: true },
    ReplyShape::Stat,
    ReplyShape::Data,
    ReplyShape::Acl,
    ReplyShape::Children { stat: false },
    ReplyShape::Children { stat: true },
    ReplyShape::Ephemerals,
    ReplyShape::AllChildrenNumber,
    ReplyShape::Synced,
    ReplyShape::WhoAmI,
    ReplyShape::WatchAdded,
    ReplyShape::Multi,
];

/// Arbitrary bytes, and requests with a few of their bytes replaced, which get further.
fn bytes_of_a_stranger() -> impl Strategy<Value = Bytes> {
    let damaged = (
        any::<i32>(),
        strategies::request(),
        proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    )
        .prop_map(|(xid, request, damage)| {
            let mut frame = encode_request(xid, &request).to_vec();
            let length = frame.len();
            for (index, byte) in damage {
                frame[index % length] = byte;
            }
            Bytes::from(frame)
        });
    prop_oneof![strategies::blob(), damaged]
}

proptest! {
    #[test]
    fn requests_come_back_and_no_part_of_one_passes_for_it(
        number in any::<i32>(),
        request in strategies::request(),
    ) {
        let frame = encode_request(number, &request);
        no_beginning_passes(&frame, |frame| decode_request(frame).ok())?;
        prop_assert_eq!(decode_request(frame), Ok((number, request)));
    }

    #[test]
    fn replies_come_back_and_no_part_of_one_passes_for_it(
        header in strategies::reply_header(),
        reply in strategies::reply(),
    ) {
        let shape = shape_of(&reply);
        let frame = encode_reply(&header, Some(&reply));
        no_beginning_passes(&frame, |frame| decode_reply(frame, shape).ok())?;
        prop_assert_eq!(decode_reply_header(&frame), Ok(header));
        let expected = header.error.map_or(Ok(reply), Err);
        prop_assert_eq!(decode_reply(frame, shape), Ok((header, expected)));
    }

    #[test]
    fn events_come_back_and_no_part_of_one_passes_for_it(event in strategies::watch_event()) {
        let frame = encode_event(&event);
        no_beginning_passes(&frame, |frame| decode_event(frame).ok())?;
        prop_assert_eq!(decode_event(frame), Ok(event));
    }

    #[test]
    fn handshakes_come_back(
        request in strategies::connect_request(),
        response in strategies::connect_response(),
    ) {
        let frame = encode_connect_request(&request);
        // The last byte may be missing: that is the old form.
        no_beginning_passes(&frame.slice(..frame.len() - 1), |frame| {
            decode_connect_request(frame).ok().filter(|_| request.read_only.is_none())
        })?;
        prop_assert_eq!(decode_connect_request(frame), Ok(request));

        let frame = encode_connect_response(&response);
        no_beginning_passes(&frame.slice(..frame.len() - 1), |frame| {
            decode_connect_response(frame).ok().filter(|_| response.read_only.is_none())
        })?;
        prop_assert_eq!(decode_connect_response(frame), Ok(response));
    }

    #[test]
    fn whatever_arrives_decoding_ends(frame in bytes_of_a_stranger()) {
        let _ = decode_connect_request(frame.clone());
        let _ = decode_connect_response(frame.clone());
        let _ = decode_event(frame.clone());
        let _ = decode_reply_header(&frame);
        for shape in SHAPES {
            let _ = decode_reply(frame.clone(), shape);
        }
        if let Ok((number, request)) = decode_request(frame) {
            let again = encode_request(number, &request);
            prop_assert_eq!(decode_request(again), Ok((number, request)));
        }
    }
}
