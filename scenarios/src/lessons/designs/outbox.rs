//! A worker's way to the sink, the mail server of the outside world, and that server itself.
//!
//! Holds: whatever a worker sends under one token is one effect, however often the network makes it
//! send it. What it sends under another token is another letter.

use super::mails::Mails;
use crate::lessons::stage::Program;
use mailstorm_mail::defect::Defect;
use mailstorm_mail::sink::{SinkClient, SinkError, SinkResult, serve_sink};
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::Defects;
use mailstorm_shared::facts::MailFact;
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::sync::Arc;

const SINK: &str = "sink:2525";

/// What kind of mail server the outside has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// It takes whatever it is sent.
    Plain,
    /// It refuses a token below the highest that it has seen.
    Fencing,
}

impl Sink {
    /// Its machine, which never fails: it is not ours.
    pub(crate) fn node() -> NodeSpec {
        NodeSpec::outside("sink")
    }

    pub(crate) fn address() -> Address {
        Address::from(SINK)
    }

    /// Its program.
    pub(crate) fn boot(self, process: Process) -> Program {
        let defects = match self {
            Self::Plain => Defects::from(Defect::LockWithoutFencing),
            Self::Fencing => process.defects,
        };
        let platform = process.platform;
        Box::pin(async move {
            if let Err(error) = serve_sink(platform.clone(), Self::address(), defects).await {
                platform.last_words(&error.to_string());
            }
        })
    }
}

/// The sink has seen a higher token: this worker was succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// A worker's letters to the sink.
pub(crate) struct Outbox {
    platform: SimPlatform,
    mails: Arc<Mails>,
    sink: SinkClient<SimPlatform>,
    worker: Arc<str>,
    /// The first token of this process; see [`Outbox::fresh_token`].
    first_token: u64,
    tokens: u64,
}

impl Outbox {
    pub(crate) fn new(process: &Process, mails: Arc<Mails>) -> Self {
        /// More than a process has tokens, and more than a worker has processes.
        const PER_PROCESS: u64 = 1_000_000;
        let worker = process.node.0.clone();
        let number: u64 = worker.trim_start_matches(char::is_alphabetic).parse().unwrap_or(0);
        let platform = process.platform.clone();
        Self {
            sink: SinkClient::new(platform.clone(), Sink::address()),
            first_token: (number * PER_PROCESS + u64::from(process.incarnation)) * PER_PROCESS,
            platform,
            mails,
            worker,
            tokens: 0,
        }
    }

    /// A token that nobody has used: for letters of which each is one by itself.
    pub(crate) fn fresh_token(&mut self) -> u64 {
        self.tokens += 1;
        self.first_token + self.tokens
    }

    /// Tells onlookers that work on a mail begins.
    pub(crate) fn attempts(&self, index: usize, token: u64) {
        self.platform.observe(MailFact::MailAttempted {
            worker: self.worker.clone(),
            mail: self.mails.id(index).clone(),
            token,
            attempt: 1,
        });
    }

    /// Sends a mail's result until the sink has answered.
    pub(crate) async fn send(
        &mut self,
        resource: &Arc<str>,
        token: u64,
        index: usize,
    ) -> Result<(), Refused> {
        loop {
            let result = SinkResult {
                mail: self.mails.id(index).clone(),
                worker: self.worker.clone(),
                processed: self.mails.processed(index).clone(),
            };
            match self.sink.put(resource, token, result).await {
                Ok(()) => return Ok(()),
                Err(SinkError::Refused { .. }) => return Err(Refused),
                Err(SinkError::Unreachable) => {}
            }
        }
    }

    /// Raises the token at the sink, and is told the mails of which it has a result.
    pub(crate) async fn fence(
        &mut self,
        resource: &Arc<str>,
        token: u64,
    ) -> Result<Vec<Arc<str>>, Refused> {
        loop {
            match self.sink.fence(resource, token).await {
                Ok(done) => return Ok(done),
                Err(SinkError::Refused { .. }) => return Err(Refused),
                Err(SinkError::Unreachable) => {}
            }
        }
    }
}
