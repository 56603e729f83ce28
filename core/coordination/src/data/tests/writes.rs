//! What becomes of writes: versions, names, refusals, owners, access lists, sweeping.

use super::stage::{Stage, acl, check, check_with, reply};
use crate::data::{DataOptions, Pending, TXN_BODY_BYTES_MAX};
use mailstorm_shared::{ServerId, SessionId};
use mailstorm_wire::client::{CreateMode, ErrorCode, MultiReply, Reply, Write};
use mailstorm_wire::peer::LeaderRequest;
use mailstorm_wire::txn::{Origin, TXN_BYTES_MAX, Txn, TxnBody};

#[test]
fn a_new_tree_looks_as_zookeepers_does() {
    check(&[
        ("ls /", "zookeeper"),
        ("ls /zookeeper", "config quota"),
        ("below /", "3"),
        ("stat /", "c0 m0 p0 ct0 mt0 v0 cv-1 av0 o0 len0 n1"),
        ("set /zookeeper/config data=x", "NoAuth"),
    ]);
}

#[test]
fn a_stat_tells_what_happened_to_a_znode_and_its_children() {
    check(&[
        ("create /a data=xyz", "/a"), // zxid 3
        ("stat /a", "c3 m3 p3 ct1000 mt1000 v0 cv0 av0 o0 len3 n0"),
        ("create /a/b", "/a/b"),
        ("create /a/c mode=e", "/a/c"),
        ("stat /a/c", "c5 m5 p5 ct1000 mt1000 v0 cv0 av0 o1 len0 n0"),
        ("stat /a", "c3 m3 p5 ct1000 mt1000 v0 cv2 av0 o0 len3 n2"),
        ("delete /a/b", "ok"),
        ("set /a data=", "v1"),
        ("set /a/c data=q", "v1"),
        ("acl /a acl=rwcda:world:anyone", "v1"),
        ("stat /a", "c3 m7 p6 ct1000 mt1000 v1 cv3 av1 o0 len0 n1"),
        ("get /a", "\"\""),
        ("set /a", "v2"),
        ("get /a", "null"),
        ("create /c mode=c", "/c"),
        ("create /t mode=t ttl=5", "/t"),
        ("stat /t", "c12 m12 p12 ct1000 mt1000 v0 cv0 av0 o0 len0 n0"),
    ]);
}

#[test]
fn a_write_is_refused_with_the_code_of_the_first_check_that_fails() {
    check(&[
        ("create a", "BadArguments"),
        ("create ", "BadArguments"),
        ("create a/b", "BadArguments"),
        ("create /", "NodeExists"),
        ("create /a/b", "NoNode"),
        ("create /a//b", "NoNode"),
        ("create /a/", "NoNode"),
        ("create /a/./b", "NoNode"),
        ("create /a/b acl=", "InvalidAcl"),
        ("create /a", "/a"),
        ("create /a/", "BadArguments"),
        ("create /a/.", "BadArguments"),
        ("create /a//b", "NoNode"),
        ("create /a", "NodeExists"),
        ("create /e mode=e", "/e"),
        ("create /e/x", "NoChildrenForEphemerals"),
        ("create /t mode=t ttl=0", "BadArguments"),
        ("create /t mode=t ttl=1099511627776", "BadArguments"),
        ("create /a/b", "/a/b"),
        ("delete /a", "NotEmpty"),
        ("delete /a v=1", "BadVersion"),
        ("delete /a/b v=1", "BadVersion"),
        ("delete /a/x", "NoNode"),
        ("delete /x/x", "NoNode"),
        ("delete /", "BadArguments"),
        ("delete /zookeeper", "BadArguments"),
        ("delete /zookeeper/quota", "BadArguments"),
        ("delete a", "BadArguments"),
        ("delete /a/b v=0", "ok"),
        ("delete /a v=0", "ok"),
        ("set /a", "NoNode"),
        ("set /a/", "BadArguments"),
        ("set /e v=7", "BadVersion"),
        ("set /e v=0", "v1"),
        ("acl /e v=1", "BadVersion"),
        ("acl /e acl=r:nonsense:x", "InvalidAcl"),
        ("acl /x acl=", "InvalidAcl"),
        ("acl /x", "NoNode"),
        ("check /e", "Unimplemented"),
        ("get /x", "NoNode"),
        ("ls /x", "NoNode"),
        ("below /x", "NoNode"),
        ("getacl /x", "NoNode"),
        ("stat ", "NoNode"),
    ]);
    let small = DataOptions { data_bytes_max: 3, ttl_enabled: false, ..DataOptions::default() };
    check_with(
        small,
        &[
            ("create /a data=1234", "BadArguments"),
            ("create /a data=123", "/a"),
            ("set /a data=1234", "BadArguments"),
            ("create /t mode=t ttl=5", "Unimplemented"),
        ],
    );
}

#[test]
fn sequential_names_count_every_creation_under_the_parent() {
    check(&[
        ("create /q", "/q"),
        ("create /q/n- mode=s", "/q/n-0000000000"),
        ("create /q/other", "/q/other"),
        ("delete /q/other", "ok"),
        ("create /q/n- mode=es", "/q/n-0000000002"),
        ("create /q/ mode=s", "/q/0000000003"),
        ("create /q/0000000004", "/q/0000000004"),
        ("create /q/n- mode=st ttl=9", "/q/n-0000000005"),
        ("create /x/n- mode=s", "NoNode"),
        ("stat /q", "c3 m3 p10 ct1000 mt1000 v0 cv7 av0 o0 len0 n5"),
    ]);
}

#[test]
fn a_sequential_name_may_be_taken_already() {
    check(&[
        ("create /q", "/q"),
        ("create /q/n-0000000001", "/q/n-0000000001"),
        ("create /q/n- mode=s", "NodeExists"),
        ("create /q/m- mode=s", "/q/m-0000000001"),
        ("create /q/n- mode=s", "/q/n-0000000002"),
    ]);
}

#[test]
fn sequence_numbers_fill_ten_digits_and_then_end() {
    let mut stage = Stage::new(DataOptions::default());
    let mut create = |path: &str, parent_creations| {
        let TxnBody::Create { data, acl, owner, .. } = ({
            let mut other = Stage::new(DataOptions::default());
            other.lags = true;
            other.run("create /any");
            other.under_way.pop_back().unwrap().1.body
        }) else {
            panic!("it is created")
        };
        let path = path.into();
        stage.propose(
            mailstorm_shared::SessionId(1),
            TxnBody::Create { path, data, acl, owner, parent_creations },
        );
    };
    create("/q", 2);
    create("/q/first", u32::MAX - 1);
    assert_eq!(stage.run("create /q/n mode=s"), "/q/n4294967294");
    assert_eq!(stage.run("create /q/n mode=s"), "SystemError");
    assert_eq!(stage.run("create /q/plain"), "/q/plain");
    assert_eq!(stage.run("delete /q/plain"), "ok");
    assert_eq!(stage.run("create /q/n mode=s"), "SystemError");
}

#[test]
fn the_steps_of_a_multi_see_each_other_and_happen_all_or_none() {
    check(&[
        (
            "multi create /a; create /a/b; set /a data=x v=0; check /a v=1; delete /a/b",
            "/a; /a/b; v1; ok; ok",
        ),
        ("stat /a", "c3 m3 p3 ct1000 mt1000 v1 cv2 av0 o0 len1 n0"),
        ("multi create /b; check /a v=7; create /c", "0; BadVersion; -2"),
        ("stat /b", "NoNode"),
        ("multi set /a; set /a v=2; delete /a v=3; create /a; set /a v=0", "v2; v3; ok; /a; v1"),
        ("multi delete /a; check /a", "0; NoNode"),
        ("multi check /a; check /a v=1", "ok; ok"),
        ("multi create /m; acl /m", "0; Unimplemented"),
        ("multi ", ""),
        ("stat /a", "c5 m5 p5 ct1000 mt1000 v1 cv0 av0 o0 len0 n0"),
        ("stat /", "c0 m0 p5 ct0 mt0 v0 cv2 av0 o0 len0 n2"),
    ]);
}

#[test]
fn an_aborted_multi_counts_for_no_sequence_number() {
    // ZOOKEEPER-1624.
    check(&[
        ("create /q", "/q"),
        ("create /q/n mode=s", "/q/n0000000000"),
        (
            "multi create /q/n mode=s; create /q/n mode=s; set /q data=x; delete /nothing",
            "0; 0; 0; NoNode",
        ),
        ("create /q/n mode=s", "/q/n0000000001"),
        ("set /q v=0", "v1"),
        ("multi create /q/n mode=s; create /q/n mode=s", "/q/n0000000002; /q/n0000000003"),
        ("delete /q", "NotEmpty"),
    ]);
}

#[test]
fn a_closing_session_takes_its_ephemerals_along_and_writes_no_more() {
    check(&[
        ("create /p", "/p"),
        ("create /p/b mode=e", "/p/b"),
        ("create /p/a mode=e", "/p/a"),
        ("@2 create /p/c mode=e", "/p/c"),
        ("delete /p", "NotEmpty"),
        ("eph /", "/p/a /p/b"),
        ("eph /p/b", "/p/b"),
        ("eph /x", ""),
        ("close", "ok"),
        ("create /late", "SessionExpired"),
        ("create /late mode=e", "SessionExpired"),
        ("multi create /late", "SessionExpired"),
        ("close", "SessionExpired"),
        ("@9 create /late", "SessionExpired"),
        ("@2 create /p/a mode=e", "/p/a"),
        ("@2 ls /p", "a c"),
        ("stat /p", "c3 m3 p14 ct1000 mt1000 v0 cv6 av0 o0 len0 n2"),
        ("@2 close", "ok"),
        ("ls /p", ""),
        ("open", "0x10"),
        ("@16 delete /p", "ok"),
    ]);
}

#[test]
fn an_ephemeral_that_was_deleted_and_made_again_by_another_session_stays() {
    check(&[
        ("create /e mode=e", "/e"),
        ("@2 delete /e", "ok"),
        ("@2 create /e mode=e", "/e"),
        ("close", "ok"),
        ("stat /e", "c5 m5 p5 ct1000 mt1000 v0 cv0 av0 o2 len0 n0"),
    ]);
}

#[test]
fn the_ensemble_may_reserve_ephemerals_for_their_owners() {
    let reserved = DataOptions { ephemeral_writes_by_owner_only: true, ..DataOptions::default() };
    check_with(
        reserved,
        &[
            ("create /e mode=e", "/e"),
            ("create /p", "/p"),
            ("@2 set /e", "NoAuth"),
            ("@2 set /e v=9", "NoAuth"),
            ("@2 acl /e", "NoAuth"),
            ("@2 delete /e", "NoAuth"),
            ("@2 set /p", "v1"),
            ("@2 multi set /p; delete /e", "0; NoAuth"),
            ("@2+super set /e", "v1"),
            ("set /e", "v2"),
            ("delete /e", "ok"),
        ],
    );
    check(&[("create /e mode=e", "/e"), ("@2 set /e", "v1"), ("@2 delete /e", "ok")]);
}

#[test]
fn access_lists_decide_who_may_do_what() {
    check(&[
        ("create /a acl=rwcda:auth:", "InvalidAcl"),
        ("@1+u create /a acl=rwcda:auth:", "/a"),
        ("@1+u getacl /a", "rwcda:digest:u:h"),
        ("getacl /a", "NoAuth"),
        ("get /a", "NoAuth"),
        ("stat /a", "NoAuth"),
        ("ls /a", "NoAuth"),
        ("below /a", "NoAuth"),
        ("set /a", "NoAuth"),
        ("set /a v=9", "NoAuth"),
        ("create /a/b", "NoAuth"),
        ("acl /a", "NoAuth"),
        ("multi check /a", "NoAuth"),
        ("@1+u create /a/b", "/a/b"),
        ("delete /a/b", "NoAuth"),
        ("delete /a/missing", "NoAuth"),
        ("@1+super delete /a/b", "ok"),
        ("@1+u acl /a acl=r:world:anyone,cda:digest:u:h v=0", "v1"),
        ("getacl /a", "r:world:anyone,cda:digest:u:x"),
        ("@1+u getacl /a", "r:world:anyone,cda:digest:u:h"),
        ("@1+u set /a", "NoAuth"),
        ("get /a", "null"),
        ("multi create /o; acl /o", "0; Unimplemented"),
        ("create /o acl=a:world:anyone", "/o"),
        ("get /o", "NoAuth"),
        ("getacl /o", "a:world:anyone"),
        ("delete /o", "ok"),
        ("multiread get /a; ls /; get /x", "null; a zookeeper; NoNode"),
    ]);
}

#[test]
fn the_next_writes_see_the_access_list_that_is_under_way() {
    check(&[
        ("create /a", "/a"),
        ("acl /a acl=r:world:anyone", "v1"),
        ("set /a", "NoAuth"),
        ("create /a/b", "NoAuth"),
        ("acl /a", "NoAuth"),
    ]);
}

#[test]
fn containers_and_old_ttl_znodes_are_swept_when_nobody_would_miss_them() {
    let mut stage = Stage::new(DataOptions::default());
    stage.lags = true;
    stage.run("create /c mode=c");
    stage.run("create /fresh mode=c");
    stage.run("create /t mode=t ttl=50");
    stage.run("create /c/x");
    stage.settle();
    let due = |stage: &Stage, at: i64| {
        let due = stage.database.sweepable(mailstorm_shared::WallTime(at), 10, &stage.options);
        due.join(" ")
    };
    assert_eq!(due(&stage, 1050), "");
    assert_eq!(due(&stage, 1051), "/t");
    stage.run("delete /c/x");
    stage.settle();
    assert_eq!(due(&stage, 1051), "/c /t");
    let due = stage.database.sweepable(mailstorm_shared::WallTime(1051), 1, &stage.options);
    assert_eq!(due.len(), 1);

    stage.time = 1051;
    assert_eq!(stage.run("sweep /nothing"), "not due");
    assert_eq!(stage.run("sweep /fresh"), "not due");
    stage.run("create /c/y");
    assert_eq!(stage.run("sweep /c"), "not due", "a child is under way");
    stage.run("set /t");
    assert_eq!(stage.run("sweep /t"), "not due", "somebody touches it");
    stage.run("delete /c/y");
    stage.settle();
    assert_eq!(stage.run("sweep /t"), "not due", "it was touched");
    assert_eq!(stage.run("sweep /c"), "ok");
    assert_eq!(stage.run("sweep /c"), "not due", "it is gone");
    assert_eq!(stage.run("create /c/z"), "NoNode");
    assert_eq!(stage.run("ls /"), "fresh t zookeeper");
}

#[test]
fn versions_wrap_around_minus_one_which_demands_none() {
    let mut stage = Stage::new(DataOptions::default());
    stage.run("create /a");
    let set = |version| TxnBody::SetData { path: "/a".into(), data: None, version };
    stage.propose(mailstorm_shared::SessionId(1), set(i32::MAX));
    assert_eq!(stage.run("set /a"), format!("v{}", i32::MIN));
    stage.propose(mailstorm_shared::SessionId(1), set(-2));
    assert_eq!(stage.run("set /a v=-2"), "v0");
}

#[test]
fn counts_follow_the_znodes() {
    let mut stage = Stage::new(DataOptions::default());
    let empty = stage.database.counts();
    for line in ["create /a data=123", "create /a/e mode=e", "set /a data=1", "@2 create /c mode=c"]
    {
        stage.run(line);
    }
    let full = stage.database.counts();
    assert_eq!((full.sessions, full.znodes - empty.znodes, full.ephemerals), (2, 3, 1));
    assert_eq!(full.bytes - empty.bytes, (2 + 1) + 4 + 2);
    for line in ["close", "@2 delete /c", "@2 delete /a"] {
        stage.run(line);
    }
    let left = stage.database.counts();
    assert_eq!(left.sessions, 1);
    assert_eq!((left.znodes, left.ephemerals, left.bytes), (empty.znodes, 0, empty.bytes));
}

#[test]
fn a_replys_shape_follows_the_request() {
    let mut stage = Stage::new(DataOptions::default());
    stage.lags = true;
    let mut answer = |line: &str| {
        stage.run(line);
        let result = stage.settle().pop().unwrap().result;
        reply(result, line)
    };
    let created = answer("create /a").unwrap();
    assert!(matches!(created, Reply::Created { stat: Some(stat), .. } if stat.czxid.0 == 3));
    assert!(matches!(answer("set /a").unwrap(), Reply::Stat(stat) if stat.version == 1));
    assert!(matches!(answer("acl /a").unwrap(), Reply::Stat(stat) if stat.aversion == 1));
    assert_eq!(answer("delete /b"), Err(ErrorCode::NoNode));
    let Reply::Multi(steps) = answer("multi check /a; set /a; create /b; delete /b").unwrap()
    else {
        panic!("a multi is answered step by step")
    };
    assert_eq!(steps.len(), 4);
    assert_eq!((&steps[0], &steps[3]), (&MultiReply::Checked, &MultiReply::Deleted));
    assert!(matches!(&steps[1], MultiReply::DataSet(stat) if stat.version == 2));
    assert!(matches!(&steps[2], MultiReply::Created { path, stat: Some(_) } if &**path == "/b"));
    let failed = [None, Some(ErrorCode::NoNode), Some(ErrorCode::RuntimeInconsistency)];
    let failed = Reply::Multi(failed.map(MultiReply::Error).into());
    assert_eq!(answer("multi check /a; check /x; check /a").unwrap(), failed);
    assert_eq!(answer("delete /a").unwrap(), Reply::Empty);
}

#[test]
fn a_write_too_long_for_a_transaction_is_refused_and_leaves_no_trace() {
    let mut stage =
        Stage::new(DataOptions { data_bytes_max: usize::MAX, ..DataOptions::default() });
    let zxid = stage.database.last_applied().next().unwrap();
    let write = |bytes| Write::Create {
        path: "/a".into(),
        data: Some(vec![0; bytes].into()),
        acl: acl("rwcda:world:anyone"),
        mode: CreateMode::Ephemeral,
        ttl: 0,
        stat: false,
    };
    let options = stage.options;
    let mut prepare = |request: &LeaderRequest| {
        stage.pending = Pending::new();
        let body = stage.pending.prepare(&stage.database, zxid, SessionId(1), request, &options);
        (body, stage.pending == Pending::new())
    };
    let alone = |bytes| LeaderRequest::Write { identities: vec![], write: write(bytes) };
    let multi = |bytes| LeaderRequest::Multi { identities: vec![], writes: vec![write(bytes)] };
    for bytes in TXN_BODY_BYTES_MAX - 100..=TXN_BODY_BYTES_MAX {
        let (body, left_no_trace) = prepare(&alone(bytes));
        if body == TxnBody::Error(ErrorCode::BadArguments) {
            assert!(left_no_trace);
            let failed = TxnBody::MultiFailed(vec![Some(ErrorCode::BadArguments)]);
            assert_eq!(prepare(&multi(bytes)), (failed, true));
            return;
        }
        for body in [body, prepare(&multi(bytes)).0] {
            let server = ServerId::new(255).unwrap();
            let origin = Some(Origin { server, ticket: u64::MAX });
            let txn = Txn { origin, session: SessionId(1), time: i64::MAX, body };
            assert!(txn.encoded_len() <= TXN_BYTES_MAX);
        }
    }
    panic!("nothing is refused");
}
