//! The client as an application sees it.
//!
//! Owns: one method per operation. Leaves: everything that can go wrong to [`mailstorm_session`].
//! Holds: a method sends its request when it is *called*, not when its future is first polled; so
//! requests leave in the order of the calls, and many can be in flight at once.

use crate::config::ClientConfig;
use crate::driver::{CallSlot, Errand, Shared, StateListener};
use crate::error::MultiError;
use crate::watch::{Watch, WatchStream};
use bytes::Bytes;
use mailstorm_platform::Platform;
use mailstorm_session::{Answer, CallError, Retry, SessionInput, SessionState, WatchId, account};
use mailstorm_shared::{Defects, Millis, SessionId, Zxid};
use mailstorm_wire::client::{
    Acl, AddWatchMode, CreateMode, ErrorCode, MultiReply, Read, Reply, Request, Stat, WatcherType,
    Write, permission,
};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The access list that lets everybody do everything.
pub fn open_acl() -> Vec<Acl> {
    vec![Acl { permissions: permission::ALL, scheme: "world".into(), id: "anyone".into() }]
}

/// A client of the coordination service, with one session. Clones are handles to the same; when the
/// last is dropped, the session is left to expire, as if the process had died. Calls that are still
/// outstanding then end.
///
/// ```no_run
/// use mailstorm_client::{CallError, Client, ClientConfig, open_acl};
/// use mailstorm_platform::{Address, Platform};
/// use mailstorm_wire::client::CreateMode;
/// use bytes::Bytes;
///
/// async fn greet<P: Platform>(platform: P) -> Result<(), CallError> {
///     let servers = ["server-1:2181", "server-2:2181", "server-3:2181"].map(Address::from);
///     let client = Client::connect(platform, ClientConfig::new(servers));
///
///     // Both requests are in flight before the first reply is there.
///     let data = Bytes::from_static(b"hello");
///     let create = client.create("/greeting", data, CreateMode::Ephemeral, open_acl());
///     let read = client.get_data_and_watch("/greeting");
///     match create.await {
///         Ok((path, stat)) => assert_eq!((&*path, stat.version), ("/greeting", 0)),
///         // Surely not done.
///         Err(error) if error.is_definite() => return Err(error),
///         // Perhaps done. After this it is known to be done, or never to be.
///         Err(_) => client.settle().await?,
///     }
///     let (data, stat, watch) = read.await?;
///     if let Ok(event) = watch.await {
///         // What changed can now be read.
///         assert!(event.zxid > stat.mzxid);
///     }
///     drop(data);
///     client.close().await;
///     Ok(())
/// }
/// ```
pub struct Client<P: Platform>(Rc<Handle<P>>);

/// The last of these takes the session with it.
struct Handle<P: Platform> {
    shared: Rc<Shared<P>>,
}

impl<P: Platform> Drop for Handle<P> {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

impl<P: Platform> Clone for Client<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Takes the one kind of reply that the request's shape allows.
macro_rules! reply {
    ($pattern:pat => $value:expr) => {
        |result, _| match result?.reply {
            $pattern => Ok($value),
            _ => unreachable!("a reply is decoded by its request's shape"),
        }
    };
    ($pattern:pat, $watch:ident => $value:expr) => {
        |result, watch| match result?.reply {
            $pattern => {
                let $watch = watch.expect("the call was made with a watch");
                Ok($value)
            }
            _ => unreachable!("a reply is decoded by its request's shape"),
        }
    };
}

impl<P: Platform> Client<P> {
    /// A client that begins to look for a server at once. Calls wait until there is a session.
    pub fn connect(platform: P, config: ClientConfig) -> Self {
        Self(Rc::new(Handle { shared: Shared::start(platform, config) }))
    }

    // ---- writes

    /// Creates a znode, and returns its path, which with a sequential mode has ten digits appended.
    pub fn create(
        &self,
        path: impl Into<Arc<str>>,
        data: impl Into<Option<Bytes>>,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Call<(Arc<str>, Stat)> {
        let (path, data) = (path.into(), data.into());
        let write = Write::Create { path, data, acl, mode, ttl: 0, stat: true };
        self.call(
            Request::Write(write),
            reply!(Reply::Created { path, stat } => (path, stat.expect(STAT_ASKED_FOR))),
        )
    }

    /// Creates a znode that is swept when it was not modified and had no child for `ttl`. The mode
    /// is one of the two TTL modes.
    pub fn create_with_ttl(
        &self,
        path: impl Into<Arc<str>>,
        data: impl Into<Option<Bytes>>,
        mode: CreateMode,
        ttl: Millis,
        acl: Vec<Acl>,
    ) -> Call<(Arc<str>, Stat)> {
        let (path, data) = (path.into(), data.into());
        let ttl = i64::try_from(ttl.0).unwrap_or(i64::MAX);
        let write = Write::Create { path, data, acl, mode, ttl, stat: true };
        self.call(
            Request::Write(write),
            reply!(Reply::Created { path, stat } => (path, stat.expect(STAT_ASKED_FOR))),
        )
    }

    /// Creates a znode that is swept some time after its last child went.
    pub fn create_container(
        &self,
        path: impl Into<Arc<str>>,
        data: impl Into<Option<Bytes>>,
        acl: Vec<Acl>,
    ) -> Call<(Arc<str>, Stat)> {
        self.create(path, data, CreateMode::Container, acl)
    }

    /// Creates a persistent znode without data for the path and for everything above it, where
    /// there is none.
    ///
    /// # Errors
    /// As for a create; an existing znode is not an error.
    pub async fn ensure_path(&self, path: &str) -> Result<(), CallError> {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        // All at once: each create needs the one before, and they are carried out in order.
        let creates: Vec<_> = ends
            .map(|end| {
                let write = Write::Create {
                    path: path[..end].into(),
                    data: None,
                    acl: open_acl(),
                    mode: CreateMode::Persistent,
                    ttl: 0,
                    stat: true,
                };
                // It does not matter which of two attempts made the znode.
                self.call_surely(Request::Write(write), reply!(Reply::Created { .. } => ()))
            })
            .collect();
        for create in creates {
            match create.await {
                Ok(()) | Err(CallError::Refused(ErrorCode::NodeExists)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes a znode of this version, or of any if -1.
    pub fn delete(&self, path: impl Into<Arc<str>>, version: i32) -> Call<()> {
        let write = Write::Delete { path: path.into(), version };
        self.call(Request::Write(write), reply!(Reply::Empty => ()))
    }

    /// Deletes a znode whose name will never be used again, such as a sequential one, and keeps
    /// trying across lost connections. A znode that is gone already is not an error.
    ///
    /// # Errors
    /// As for [`Client::delete`].
    pub async fn delete_surely(&self, path: impl Into<Arc<str>>) -> Result<(), CallError> {
        let write = Write::Delete { path: path.into(), version: -1 };
        match self.call_surely(Request::Write(write), reply!(Reply::Empty => ())).await {
            Ok(()) | Err(CallError::Refused(ErrorCode::NoNode)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the data of a znode of this version, or of any if -1.
    pub fn set_data(
        &self,
        path: impl Into<Arc<str>>,
        data: impl Into<Option<Bytes>>,
        version: i32,
    ) -> Call<Stat> {
        let write = Write::SetData { path: path.into(), data: data.into(), version };
        self.call(Request::Write(write), reply!(Reply::Stat(stat) => stat))
    }

    /// Replaces the access list of a znode of this aversion, or of any if -1.
    pub fn set_acl(&self, path: impl Into<Arc<str>>, acl: Vec<Acl>, version: i32) -> Call<Stat> {
        let write = Write::SetAcl { path: path.into(), acl, version };
        self.call(Request::Write(write), reply!(Reply::Stat(stat) => stat))
    }

    /// Does all of these writes in one transaction, or none. Each step sees those before it.
    pub fn multi(&self, writes: Vec<Write>) -> Call<Vec<MultiReply>, MultiError> {
        self.call(Request::Multi(writes), |result, _| match result?.reply {
            Reply::Multi(replies) => match account::culprit(&replies) {
                Some((index, code)) => Err(MultiError::Step { index, code }),
                None => Ok(replies),
            },
            _ => unreachable!("a reply is decoded by its request's shape"),
        })
    }

    /// Ends the doubt after [`CallError::ConnectionLoss`]: once this returns, each earlier write of
    /// this session has either taken effect, and reads of this client show it, or never will.
    ///
    /// It is a write that changes nothing.
    ///
    /// 1. The leader takes a session's requests from one connection at a time: what an earlier
    ///    connection still had in flight is refused once this one is known (`SessionMoved`).
    /// 2. What the leader had taken by then comes before this write in the total order.
    /// 3. The reply comes when the server has applied everything up to here.
    ///
    /// A `sync` would not do: it waits for what was acknowledged to somebody, not for what may yet
    /// be.
    ///
    /// # Errors
    /// [`CallError::SessionExpired`] and [`CallError::Closed`]: then the doubt remains, but nothing
    /// that was not done by the session's end will be. [`CallError::ConnectionLoss`] when
    /// connection after connection broke, or too many operations are outstanding: the doubt
    /// remains, too.
    pub async fn settle(&self) -> Result<(), CallError> {
        let check = Write::Check { path: "/".into(), version: -1 };
        let settled: Call<()> =
            self.call_surely(Request::Multi(vec![check]), reply!(Reply::Multi(_) => ()));
        match settled.await {
            Err(error) if !error.is_final() => Err(CallError::ConnectionLoss),
            settled => settled,
        }
    }

    // ---- reads

    /// The znode's `Stat`, or `None` without one.
    pub fn exists(&self, path: impl Into<Arc<str>>) -> Call<Option<Stat>> {
        let request = Request::Exists { path: path.into(), watch: false };
        self.call(request, |result, _| existing(result))
    }

    /// The same, and a watch that fires when the znode appears, changes or vanishes.
    pub fn exists_and_watch(&self, path: impl Into<Arc<str>>) -> Call<(Option<Stat>, Watch)> {
        let request = Request::Exists { path: path.into(), watch: true };
        self.call_with_watch(request, |result, watch| {
            Ok((existing(result)?, watch.expect("the call was made with a watch")))
        })
    }

    /// The znode's data (null and empty are kept apart) and `Stat`.
    pub fn get_data(&self, path: impl Into<Arc<str>>) -> Call<(Option<Bytes>, Stat)> {
        let request = Request::GetData { path: path.into(), watch: false };
        self.call(request, reply!(Reply::Data { data, stat } => (data, stat)))
    }

    /// The same, and a watch that fires when the znode changes or vanishes. No watch without a
    /// znode.
    pub fn get_data_and_watch(
        &self,
        path: impl Into<Arc<str>>,
    ) -> Call<(Option<Bytes>, Stat, Watch)> {
        let request = Request::GetData { path: path.into(), watch: true };
        self.call_with_watch(
            request,
            reply!(Reply::Data { data, stat }, watch => (data, stat, watch)),
        )
    }

    /// The names of the znode's children, and its `Stat`.
    pub fn children(&self, path: impl Into<Arc<str>>) -> Call<(Vec<Arc<str>>, Stat)> {
        let request = Request::Children { path: path.into(), watch: false, stat: true };
        self.call(
            request,
            reply!(Reply::Children { names, stat } => (names, stat.expect(STAT_ASKED_FOR))),
        )
    }

    /// The same, and a watch that fires when a child appears or vanishes, or the znode itself
    /// vanishes.
    pub fn children_and_watch(
        &self,
        path: impl Into<Arc<str>>,
    ) -> Call<(Vec<Arc<str>>, Stat, Watch)> {
        let request = Request::Children { path: path.into(), watch: true, stat: true };
        self.call_with_watch(
            request,
            reply!(Reply::Children { names, stat }, watch => {
                (names, stat.expect(STAT_ASKED_FOR), watch)
            }),
        )
    }

    /// The znode's access list and `Stat`.
    pub fn get_acl(&self, path: impl Into<Arc<str>>) -> Call<(Vec<Acl>, Stat)> {
        let request = Request::GetAcl { path: path.into() };
        self.call(request, reply!(Reply::Acl { acl, stat } => (acl, stat)))
    }

    /// Several reads at one instant. Each has its own result, which may be an error.
    pub fn multi_read(&self, reads: Vec<Read>) -> Call<Vec<MultiReply>> {
        self.call(Request::MultiRead(reads), reply!(Reply::Multi(replies) => replies))
    }

    /// The ephemerals of this session whose paths start with `prefix`.
    pub fn ephemerals(&self, prefix: impl Into<Arc<str>>) -> Call<Vec<Arc<str>>> {
        let request = Request::Ephemerals { prefix: prefix.into() };
        self.call(request, reply!(Reply::Ephemerals(paths) => paths))
    }

    /// How many znodes there are below this one, at any depth.
    pub fn all_children_number(&self, path: impl Into<Arc<str>>) -> Call<i32> {
        let request = Request::AllChildrenNumber { path: path.into() };
        self.call(request, reply!(Reply::AllChildrenNumber(count) => count))
    }

    /// Catches up: reads of this client after it show every write acknowledged before it was
    /// called.
    pub fn sync(&self, path: impl Into<Arc<str>>) -> Call<()> {
        self.call(Request::Sync { path: path.into() }, reply!(Reply::Synced(_) => ()))
    }

    // ---- watches and identity

    /// Sets a persistent watch. It stays across reconnects.
    pub fn add_watch(&self, path: impl Into<Arc<str>>, mode: AddWatchMode) -> Call<WatchStream> {
        let request = Request::AddWatch { path: path.into(), mode };
        self.call_with_watch(request, reply!(Reply::WatchAdded, watch => watch.into_stream()))
    }

    /// Removes all watches of this kind that this client has on the path. They end with
    /// [`crate::WatchEnd::Removed`].
    pub fn remove_watches(&self, path: impl Into<Arc<str>>, kind: WatcherType) -> Call<()> {
        let request = Request::RemoveWatches { path: path.into(), kind };
        self.call(request, reply!(Reply::Empty => ()))
    }

    /// Whether this client has a watch of this kind on the path, as its server knows it.
    pub fn has_watch(&self, path: impl Into<Arc<str>>, kind: WatcherType) -> Call<bool> {
        let request = Request::CheckWatches { path: path.into(), kind };
        self.call(request, |result, _| match result {
            Ok(_) => Ok(true),
            Err(CallError::Refused(ErrorCode::NoWatcher)) => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Proves an identity, now and on every later connection of this session. Refused credentials
    /// cost the connection, but not the session, and are not tried again.
    pub fn add_auth(&self, scheme: impl Into<Arc<str>>, credentials: impl Into<Bytes>) -> Call<()> {
        let request = Request::Auth { scheme: scheme.into(), credentials: credentials.into() };
        self.call(request, reply!(Reply::Empty => ()))
    }

    /// The identities that the server knows us by: scheme and name.
    pub fn who_am_i(&self) -> Call<Vec<(Arc<str>, Arc<str>)>> {
        self.call(Request::WhoAmI, reply!(Reply::WhoAmI(identities) => identities))
    }

    // ---- the session

    /// Ends the session, after everything that was called before. Without a server to notify, it
    /// returns after the session timeout, when the session has expired by itself.
    pub async fn close(&self) {
        self.shared().step(SessionInput::Close);
        while !self.state().is_over() {
            self.state_changed().await;
        }
    }

    /// Where the session stands.
    pub fn state(&self) -> SessionState {
        self.shared().state()
    }

    /// Resolves with the state after the next change, counted from this call.
    pub fn state_changed(&self) -> impl Future<Output = SessionState> + use<P> {
        self.shared().state_changed()
    }

    /// Resolves when there is a session (so that [`Client::session`] names it), or never will be
    /// one.
    pub async fn session_begun(&self) {
        while self.session() == SessionId::NONE && !self.state().is_over() {
            self.state_changed().await;
        }
    }

    /// Resolves when the session is over.
    pub async fn session_over(&self) {
        while !self.state().is_over() {
            self.state_changed().await;
        }
    }

    /// The session's id; [`SessionId::NONE`] before there is one.
    pub fn session(&self) -> SessionId {
        self.shared().core.borrow().session()
    }

    /// The session timeout: the one negotiated, or the one requested as long as there is no
    /// session.
    pub fn session_timeout(&self) -> Millis {
        self.shared().core.borrow().timeout()
    }

    /// The newest transaction that this client has seen.
    pub fn last_zxid_seen(&self) -> Zxid {
        self.shared().core.borrow().last_zxid_seen()
    }

    /// The client's number in observations.
    pub fn client_number(&self) -> u32 {
        self.shared().client_number
    }

    /// The machine that the client runs on.
    pub fn platform(&self) -> &P {
        &self.shared().platform
    }

    /// A number that this client has not given out before. With the session id it is unique for
    /// ever.
    pub fn unique_number(&self) -> u64 {
        self.shared().number()
    }

    // ---- for the recipes

    pub(crate) fn listen(&self, listener: Weak<dyn StateListener>) {
        self.shared().listen(listener);
    }

    /// A way to leave errands that keeps neither the client nor the session alive.
    pub(crate) fn errands(&self) -> Errands {
        let shared: Weak<Shared<P>> = Rc::downgrade(self.shared());
        Errands(shared)
    }

    pub(crate) fn defects(&self) -> Defects {
        self.shared().defects
    }

    fn shared(&self) -> &Rc<Shared<P>> {
        &self.0.shared
    }

    fn call<T, E>(&self, request: Request, finish: Finish<T, E>) -> Call<T, E> {
        self.begin(request, None, Retry::Reads, finish)
    }

    /// As [`Client::call`], for writes that are idempotent.
    fn call_surely<T, E>(&self, request: Request, finish: Finish<T, E>) -> Call<T, E> {
        self.begin(request, None, Retry::Always, finish)
    }

    fn call_with_watch<T>(&self, request: Request, finish: Finish<T, CallError>) -> Call<T> {
        let shared = self.shared();
        let (number, slot) = shared.new_watch();
        let session: Weak<Shared<P>> = Rc::downgrade(shared);
        let watch = Watch::new(number, &slot, session);
        self.begin(request, Some((number, watch)), Retry::Reads, finish)
    }

    fn begin<T, E>(
        &self,
        request: Request,
        watch: Option<(WatchId, Watch)>,
        retry: Retry,
        finish: Finish<T, E>,
    ) -> Call<T, E> {
        let (number, watch) = watch.unzip();
        Call { slot: self.shared().call(request, number, retry), watch, finish }
    }
}

const STAT_ASKED_FOR: &str = "a reply is decoded by its request's shape, which has a Stat";

fn existing(result: Result<Answer, CallError>) -> Result<Option<Stat>, CallError> {
    match result {
        Ok(Answer { reply: Reply::Stat(stat), .. }) => Ok(Some(stat)),
        Ok(_) => unreachable!("a reply is decoded by its request's shape"),
        Err(CallError::Refused(ErrorCode::NoNode)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where destructors leave work for the driver.
pub(crate) struct Errands(Weak<dyn TakeErrand>);

impl Errands {
    pub(crate) fn leave(&self, errand: Errand) {
        if let Some(shared) = self.0.upgrade() {
            shared.take_errand(errand);
        }
    }
}

pub(crate) trait TakeErrand {
    fn take_errand(&self, errand: Errand);
}

impl<P: Platform> TakeErrand for Shared<P> {
    fn take_errand(&self, errand: Errand) {
        self.leave_errand(errand);
    }
}

type Finish<T, E> = fn(Result<Answer, CallError>, Option<Watch>) -> Result<T, E>;

/// An outstanding operation: a future of its result.
///
/// The request has left (or waits for a connection) already; dropping this changes nothing about
/// that, only the result is lost.
#[must_use = "whether the operation was done is only known from its result"]
pub struct Call<T, E = CallError> {
    slot: Rc<RefCell<CallSlot>>,
    watch: Option<Watch>,
    finish: Finish<T, E>,
}

impl<T, E> Future for Call<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = self.slot.borrow_mut().poll(context);
        result.map(|result| (self.finish)(result, self.watch.take()))
    }
}
