//! A client that writes one znode again and again, and tells what came of each write.

use bytes::Bytes;
use mailstorm_checkers::Goal;
use mailstorm_client::{CallError, Client, ClientConfig};
use mailstorm_platform::Platform;
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_wire::client::ErrorCode;
use mailstorm_world::{NodeSpec, Process, SimPlatform};

/// What it tells of a write that was acknowledged.
const ACKNOWLEDGED: &str = "write_acknowledged";
/// What it tells of a write that may have been done, or may yet be.
pub(in crate::lessons) const IN_DOUBT: &str = "write_in_doubt";
/// What it tells of a write that surely was not done.
const REFUSED: &str = "write_refused";

/// A client that writes one znode again and again.
#[derive(Clone, Copy)]
pub(in crate::lessons) struct Writer {
    /// Its machine.
    pub(in crate::lessons) name: &'static str,
    pub(in crate::lessons) znode: &'static str,
    pub(in crate::lessons) data: &'static str,
    /// How often it writes, and how much later than the full period. A turn that comes while the
    /// write before it is under way is left out.
    pub(in crate::lessons) every: Millis,
    pub(in crate::lessons) offset: Millis,
}

impl Writer {
    /// Its machine.
    pub(in crate::lessons) fn node(self) -> NodeSpec {
        NodeSpec::client(self.name).called("writer")
    }

    /// The one of them whose process it is.
    pub(in crate::lessons) fn of(writers: &[Self], process: &Process) -> Self {
        let mut writers = writers.iter();
        let found = writers.find(|writer| *writer.name == *process.node.0);
        *found.expect("every machine beside the servers is a writer's")
    }

    pub(in crate::lessons) async fn run(self, platform: SimPlatform, config: ClientConfig) {
        let Self { znode, data, every, offset, .. } = self;
        let tell = |name: &str| platform.observe(ApplicationFact::Milestone { name: name.into() });
        let mut client = Client::connect(platform.clone(), config.clone());
        let begin = platform.now().monotonic + offset;
        // Until the run is over: a fault that comes late is to meet somebody who writes.
        loop {
            let since = platform.now().monotonic.since(begin).0;
            let turn = begin + Millis((since / every.0 + 1) * every.0);
            platform.sleep(turn.since(platform.now().monotonic)).await;
            if client.state().is_over() {
                client = Client::connect(platform.clone(), config.clone());
            }
            match write(&client, znode, data).await {
                Ok(()) => tell(ACKNOWLEDGED),
                Err(error) if error.is_definite() => tell(REFUSED),
                Err(_) => tell(IN_DOUBT),
            }
        }
    }
}

async fn write(
    client: &Client<SimPlatform>,
    znode: &str,
    data: &'static str,
) -> Result<(), CallError> {
    let set = || client.set_data(znode, Bytes::from_static(data.as_bytes()), -1);
    match set().await {
        Err(CallError::Refused(ErrorCode::NoNode)) => {
            client.ensure_path(znode).await?;
            set().await.map(drop)
        }
        set => set.map(drop),
    }
}

/// Whether a writer tells here that its write was acknowledged.
pub(in crate::lessons) fn is_acknowledged(event: &Event) -> bool {
    matches!(&event.happening, Happening::Observed {
        observation: Observation::Application(ApplicationFact::Milestone { name }),
    } if **name == *ACKNOWLEDGED)
}

/// Whose write is acknowledged here, if one is.
pub(in crate::lessons) fn whose_write(event: &Event) -> Option<NodeName> {
    event.node.clone().filter(|_| is_acknowledged(event))
}

/// A writer has a write acknowledged.
pub(in crate::lessons) fn acknowledged() -> Goal {
    Goal::milestone(ACKNOWLEDGED, "a client's write was acknowledged")
}

/// A writer's write has no definite end.
pub(in crate::lessons) fn in_doubt() -> Goal {
    Goal::milestone(IN_DOUBT, "a client's write had no definite end")
}
