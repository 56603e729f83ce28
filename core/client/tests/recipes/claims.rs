//! The claims.

use crate::network::Break;
use crate::world::{Process, World};
use bytes::Bytes;
use mailstorm_client::claims::{ClaimError, Claims, Status};
use mailstorm_client::{CallError, Client};
use mailstorm_shared::Millis;
use mailstorm_wire::client::{ErrorCode, Request, Write};
use std::cell::RefCell;
use std::rc::Rc;

const PATH: &str = "/claims";

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Claims with these items noted.
async fn noted(client: &Client<Process>, notes: &[&'static str]) -> Claims<Process> {
    let claims = Claims::new(client, PATH);
    claims.prepare().await.expect("nothing is broken yet");
    for note in notes {
        let seen = claims.progress().await.expect("nothing is broken yet");
        claims.note(&bytes(note), &seen, bytes(note)).await.expect("nobody else notes");
    }
    claims
}

/// The multi that writes items, not the one that only settles.
fn changes(request: &Request) -> bool {
    matches!(request, Request::Multi(writes) if !matches!(writes[..], [Write::Check { .. }]))
}

#[test]
fn items_are_taken_in_order_and_finished_once() {
    let world = World::new();
    let (_, client) = world.client();
    world.run(async move {
        let claims = noted(&client, &["a", "b"]).await;
        let mut first = claims.take().await.unwrap().unwrap();
        let mut second = claims.take().await.unwrap().unwrap();
        assert_eq!((first.note(), second.note()), (&bytes("a"), &bytes("b")));
        assert!(first.token() < second.token());
        assert!(claims.take().await.unwrap().is_none(), "both are held");
        first.renew(bytes("a, half")).await.unwrap();
        let open = claims.open_items().await.unwrap();
        assert_eq!(open[0].note, bytes("a, half"));
        assert!(open[0].is_held && open[0].status == Status::Taken && open[0].takes == 1);
        let result = Write::Create {
            path: "/result".into(),
            data: None,
            acl: mailstorm_client::open_acl(),
            mode: Default::default(),
            ttl: 0,
            stat: true,
        };
        first.finish(bytes("a, done"), vec![result.clone()]).await.unwrap();
        // The application's own write is refused, so the item is not finished either.
        let refused = second.finish(bytes("b, done"), vec![result]).await;
        assert_eq!(refused, Err(ClaimError::Step { index: 0, code: ErrorCode::NodeExists }));
        assert!(second.is_held());
        second.finish(bytes("b, done"), Vec::new()).await.unwrap();
        assert!(claims.open_items().await.unwrap().is_empty());
        let done = claims.done_items().await.unwrap();
        assert_eq!(done.iter().map(|i| i.note.clone()).collect::<Vec<_>>(), ["a, done", "b, done"]);
        assert_eq!(second.finish(bytes("again"), Vec::new()).await, Err(ClaimError::Lost));
        claims.sweep(1).await.unwrap();
        assert_eq!(claims.done_items().await.unwrap().len(), 1);
    });
}

#[test]
fn of_two_who_note_the_same_work_one_succeeds() {
    let world = World::new();
    let (_, alice) = world.client();
    let (_, bob) = world.client();
    world.run(async move {
        let hers = noted(&alice, &[]).await;
        let his = Claims::new(&bob, PATH);
        bob.sync("/").await.unwrap();
        let (seen, also_seen) = (hers.progress().await.unwrap(), his.progress().await.unwrap());
        hers.note(&bytes("1-100"), &seen, bytes("100")).await.unwrap();
        let second = his.note(&bytes("1-100"), &also_seen, bytes("100")).await;
        assert_eq!(second, Err(ClaimError::Lost));
        assert_eq!(his.progress().await.unwrap().bytes, bytes("100"));
        assert_eq!(hers.open_items().await.unwrap().len(), 1);
    });
}

#[test]
fn what_a_dead_worker_held_is_taken_over_by_exactly_one_with_a_higher_token() {
    let world = World::new();
    let (process, dead) = world.client();
    let story = world.clone();
    world.run(async move {
        let claims = noted(&dead, &["work"]).await;
        let mut old = claims.take().await.unwrap().unwrap();
        story.isolate(process.id);
        let takers = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..4 {
            let (process, client) = story.client();
            let takers = takers.clone();
            story.spawn(process.id, async move {
                let claims = Claims::new(&client, PATH);
                let mut changes = claims.watch().await.unwrap();
                let claim = claims.take_next(&mut changes).await.unwrap();
                takers.borrow_mut().push((claim.token(), claim.is_taken_over(), claim.takes()));
                // It is held as long as somebody keeps the client.
                std::future::pending::<()>().await;
            });
        }
        story.sleep(Millis(5_000)).await;
        {
            let takers = takers.borrow();
            let &[(token, taken_over, takes)] = takers.as_slice() else { panic!("{takers:?}") };
            assert!(token > old.token() && taken_over && takes == 2);
        }
        // The dead one wakes: he learns it before he can do harm.
        story.rejoin(process.id);
        let late = old.finish(bytes("done"), Vec::new()).await;
        assert_eq!(late, Err(ClaimError::Call(CallError::SessionExpired)));
        assert!(!old.is_held());
    });
}

#[test]
fn a_worker_whose_every_reply_is_lost_once_knows_what_happened_each_time() {
    for when in [Break::AfterServer, Break::BeforeServer] {
        let world = World::new();
        let (process, client) = world.client();
        let story = world.clone();
        world.run(async move {
            let claims = noted(&client, &["work"]).await;
            let trap = || story.break_around(process.id, when, changes);

            trap();
            let mut claim = claims.take().await.unwrap().unwrap();
            let item = claims.open_items().await.unwrap().remove(0);
            assert_eq!((item.changed_by, item.takes), (claim.token(), 1));
            assert_eq!(item.holder, client.session());

            trap();
            claim.renew(bytes("half")).await.unwrap();
            trap();
            claim.give_back().await.unwrap();
            let item = claims.open_items().await.unwrap().remove(0);
            assert_eq!(
                (item.status, item.is_held, item.note),
                (Status::Open, false, bytes("half"))
            );

            let mut claim = claims.take().await.unwrap().unwrap();
            assert!(!claim.is_taken_over());
            trap();
            claim.finish(bytes("done"), Vec::new()).await.unwrap();
            assert_eq!(claims.done_items().await.unwrap()[0].note, bytes("done"));
            assert!(claims.open_items().await.unwrap().is_empty());
            assert_eq!(story.traps_left(), 0);
        });
    }
}

#[test]
fn noting_with_a_lost_reply_notes_the_work_once() {
    for when in [Break::AfterServer, Break::BeforeServer] {
        let world = World::new();
        let (process, client) = world.client();
        let story = world.clone();
        world.run(async move {
            let claims = noted(&client, &[]).await;
            let seen = claims.progress().await.unwrap();
            story.break_around(process.id, when, changes);
            let noted = claims.note(&bytes("1-100"), &seen, bytes("100")).await;
            // Told as lost where it was done: the progress says the rest.
            assert_eq!(noted.is_ok(), when == Break::BeforeServer);
            assert_eq!(claims.progress().await.unwrap().bytes, bytes("100"));
            assert_eq!(claims.open_items().await.unwrap().len(), 1);
        });
    }
}

#[test]
fn a_waiting_worker_takes_a_new_item_as_soon_as_it_is_noted() {
    let world = World::new();
    let (_, client) = world.client();
    let (process, worker) = world.client();
    let story = world.clone();
    world.run(async move {
        let claims = noted(&client, &[]).await;
        let taken = Rc::new(RefCell::new(None));
        let slot = taken.clone();
        story.spawn(process.id, async move {
            let claims = Claims::new(&worker, PATH);
            let mut changes = claims.watch().await.unwrap();
            *slot.borrow_mut() = Some(claims.take_next(&mut changes).await.unwrap().note().clone());
        });
        story.sleep(Millis(300)).await;
        assert_eq!(*taken.borrow(), None);
        let seen = claims.progress().await.unwrap();
        claims.note(&bytes("new"), &seen, Bytes::new()).await.unwrap();
        story.sleep(Millis(10)).await;
        assert_eq!(*taken.borrow(), Some(bytes("new")));
    });
}

#[test]
fn a_worker_that_comes_late_takes_nothing_on_the_strength_of_an_old_note() {
    let world = World::new();
    let (_, quick) = world.client();
    let (process, late) = world.client();
    let story = world.clone();
    world.run(async move {
        let claims = noted(&quick, &["old"]).await;
        late.sync("/").await.unwrap();
        // He has read that nobody holds the item, and his multi is held on the way.
        let taken = Rc::new(RefCell::new(None));
        let slot = taken.clone();
        story.spawn(process.id, async move {
            let claim = Claims::new(&late, PATH).take().await.unwrap();
            *slot.borrow_mut() = Some(claim.map(|claim| claim.note().clone()));
        });
        story.sleep(Millis(4)).await;
        story.isolate(process.id);
        let mut claim = claims.take().await.unwrap().unwrap();
        claim.renew(bytes("new")).await.unwrap();
        claim.give_back().await.unwrap();
        story.rejoin(process.id);
        story.sleep(Millis(20)).await;
        assert_eq!(taken.borrow_mut().take(), Some(None), "somebody was first");
        assert_eq!(claims.open_items().await.unwrap()[0].note, bytes("new"));
    });
}
