//! The network: byte streams over links that can be slow, silent, or wrong.
//!
//! Owns: links, connections, endpoints. Leaves: when links fail to `nemesis`.
//! Holds: bytes of one direction of a connection arrive in order or not at all; what was delivered
//! was sent; a machine that cannot be heard is silent, it never answers with an error.
//!
//! ```text
//!  endpoint of s1                                            endpoint of s2
//!   │ half A: outgoing [Syn, Data, Data] ── link s1>s2 ──▶ inbox │
//!   │ inbox ◀── link s2>s1 ── half B: outgoing [SynAck, Data]    │
//! ```
//! A connection is two [`half::Half`]s, one on each machine. Each knows the other, until one of the
//! machines forgets it (loses power, gives up): the other is then half-open and learns of it when
//! it next sends, as with TCP. Read [`link`], then [`half`], then [`endpoint`].

pub(crate) mod endpoint;
pub(crate) mod half;
pub(crate) mod link;

use crate::scenario::Topology;
use crate::slab::Slab;
use endpoint::Mailbox;
use half::Half;
use link::Link;

/// How long data may stay unacknowledged before a machine gives the connection up. TCP's default on
/// Linux is about 15 minutes; a run is shorter, so ours is near what operators set it to.
pub(crate) const RETRANSMIT_NS_MAX: u64 = 15_000_000_000;

/// How long a connect may go unanswered before it has timed out.
pub(crate) const CONNECT_NS_MAX: u64 = 20_000_000_000;

/// How many bytes a machine takes for a process that does not.
pub(crate) const WINDOW_BYTES: usize = 256 * 1024;

/// All of it.
pub(crate) struct Network {
    /// One per direction: `from * nodes + to`.
    links: Vec<Link>,
    nodes: usize,
    halves: Slab<Half>,
    endpoints: Slab<Mailbox>,
    /// Messages are numbered through the run.
    message: u64,
    /// Whether no link is cut and no machine is without power: then nobody need ask.
    is_whole: bool,
}

impl Network {
    /// The network between these nodes. One more stands for strangers: the sources of floods.
    pub(crate) fn new(seed: u64, topology: &Topology) -> Self {
        let nodes = topology.nodes.len() + 1;
        let name = |node: usize| topology.nodes.get(node).map_or("strangers", |n| &*n.name.0);
        let links = (0..nodes * nodes)
            .map(|place| {
                let (from, to) = (place / nodes, place % nodes);
                let stream = format!("link {}>{}", name(from), name(to));
                Link::new(seed, &stream, &topology.network)
            })
            .collect();
        Self {
            links,
            nodes,
            halves: Slab::default(),
            endpoints: Slab::default(),
            message: 0,
            is_whole: true,
        }
    }

    /// The place that stands for strangers among the nodes.
    pub(crate) fn strangers(&self) -> usize {
        self.nodes - 1
    }

    /// A fingerprint of all that was drawn for each direction, in a fixed order.
    pub(crate) fn drawn(&self) -> impl Iterator<Item = u64> {
        self.links.iter().map(Link::drawn)
    }

    pub(crate) fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.nodes + to]
    }
}
