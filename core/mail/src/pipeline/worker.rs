//! One worker: notes batches, takes them, processes their mails, delivers the results.

use super::note::{BatchNote, NotedMail};
use super::{ATTEMPTS_MAX, BATCH_MAX, LOCK, RESULTS, WORK, WORKERS, prepare};
use crate::inbox::{Inbox, Mail};
use crate::processing::{Judgement, Processed};
use crate::sink::{SinkClient, SinkError, SinkResult};
use bytes::Bytes;
use mailstorm_client::recipes::claims::{Claim, ClaimError, Claims};
use mailstorm_client::recipes::lock::Lock;
use mailstorm_client::{CallError, Client, ClientConfig, WatchStream, open_acl};
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::facts::{ApplicationFact, MailFact};
use mailstorm_shared::{Millis, planted};
use mailstorm_wire::client::{CreateMode, ErrorCode, Write};
use std::future::Future;
use std::sync::Arc;

/// The pause after a session that failed, before the next one.
const BACKOFF: Millis = Millis(250);

/// What judges a mail. The one that ships is [`crate::processing::process`]; a laboratory wraps it,
/// to take time and to die.
pub trait Processor: 'static {
    /// Judges and indexes a mail.
    fn process(&self, mail: &Mail) -> impl Future<Output = Result<Processed, ProcessorDied>>;
}

/// Processing a mail killed the worker's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorDied;

/// How a worker's life ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkerEnd {
    /// A mail killed it; its session is left to expire.
    #[error("died while processing a mail")]
    Died,
    /// The inbox it was given is not the one that the batches were noted from.
    #[error("the inbox has no mail {id} at place {place}: all workers need the same inbox")]
    OtherInbox {
        /// The mail that was noted.
        id: Arc<str>,
        /// Its place, from 0.
        place: usize,
    },
    /// Something else writes to the pipeline's znodes.
    #[error("{WORK}/progress holds no count of mails: something else writes there; move it away")]
    ForeignProgress,
}

/// Why a session's work stopped.
enum Stop {
    /// For ever.
    End(WorkerEnd),
    /// Until there is a new session.
    Session,
}

/// Why work on one claim stopped.
enum ClaimStop {
    End(WorkerEnd),
    Session,
    /// Somebody has taken it over.
    Lost,
}

impl From<CallError> for Stop {
    fn from(_: CallError) -> Self {
        Self::Session
    }
}

impl From<ClaimError> for ClaimStop {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Lost => Self::Lost,
            // The application's own write is the result's znode: it exists if somebody finished the
            // batch, so the claim is no longer ours.
            ClaimError::Step { .. } => Self::Lost,
            ClaimError::Call(_) => Self::Session,
        }
    }
}

/// A worker of the pipeline `claims`.
pub struct Worker<P: Platform, J: Processor> {
    /// Its machine.
    pub platform: P,
    /// Its name, unique among the workers.
    pub name: Arc<str>,
    /// Its session with the coordination service.
    pub config: ClientConfig,
    /// Where results go.
    pub sink: Address,
    /// What is to be processed; the same for all workers.
    pub inbox: Inbox,
    /// How many mails one claim holds, 1 to [`BATCH_MAX`].
    pub batch: usize,
    /// What judges a mail.
    pub processor: J,
}

impl<P: Platform, J: Processor> Worker<P, J> {
    /// Works until a mail kills it: one session after another, each for as long as it lasts.
    pub async fn run(self) -> WorkerEnd {
        assert!((1..=BATCH_MAX).contains(&self.batch), "a batch holds 1 to {BATCH_MAX} mails");
        let mut sink = SinkClient::new(self.platform.clone(), self.sink.clone());
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            match self.work(&client, &mut sink).await {
                Stop::End(end) => return end,
                Stop::Session => {
                    // A session left open would only keep others waiting.
                    client.close().await;
                    self.platform.sleep(BACKOFF).await;
                }
            }
        }
    }

    /// Works for as long as the session lasts.
    async fn work(&self, client: &Client<P>, sink: &mut SinkClient<P>) -> Stop {
        match self.try_work(client, sink).await {
            Ok(never) => match never {},
            Err(stop) => stop,
        }
    }

    async fn try_work(
        &self,
        client: &Client<P>,
        sink: &mut SinkClient<P>,
    ) -> Result<std::convert::Infallible, Stop> {
        prepare(client).await?;
        self.register(client).await?;
        let claims = Claims::new(client, WORK);
        claims.prepare().await?;
        let lock = Lock::new(client, LOCK);
        let mut changes = claims.watch().await?;
        loop {
            // What happened up to here shows in the next read; what happens later wakes us.
            changes.clear();
            match claims.take().await {
                Ok(Some(claim)) => self.process_claim(claim, sink).await?,
                Ok(None) => self.note_or_wait(&claims, &lock, &mut changes).await?,
                Err(_) => return Err(Stop::Session),
            }
        }
    }

    /// Shows the supervisor that this worker is alive.
    async fn register(&self, client: &Client<P>) -> Result<(), CallError> {
        loop {
            // With the session in its name it can only be ours, so finding it there is no error.
            // The session is known once the first call has returned.
            let path = format!("{WORKERS}/{}-{:016x}", self.name, client.session().0);
            match client.create(path, Bytes::new(), CreateMode::Ephemeral, open_acl()).await {
                Ok(_) | Err(CallError::Refused(ErrorCode::NodeExists)) => return Ok(()),
                Err(CallError::ConnectionLoss) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// With nothing to take: notes the next batch, or waits if the whole inbox is noted.
    async fn note_or_wait(
        &self,
        claims: &Claims<P>,
        lock: &Lock<P>,
        changes: &mut WatchStream,
    ) -> Result<(), Stop> {
        if noted(&claims.progress().await?.bytes)? >= self.inbox.len() {
            changes.next().await.map_err(|_| Stop::Session)?;
            return Ok(());
        }
        let held = lock.acquire(self.name.as_bytes().to_vec()).await?;
        let seen = claims.progress().await?;
        let first = noted(&seen.bytes)?;
        let last = self.inbox.len().min(first + self.batch);
        if first < last {
            let note = BatchNote {
                first,
                noted_at: self.platform.now().wall,
                writer: self.name.clone(),
                mails: self.inbox.mails()[first..last]
                    .iter()
                    .map(|mail| NotedMail { id: mail.id.clone(), attempts: 0, verdict: None })
                    .collect(),
            };
            match claims.note(&note.encode(), &seen, last.to_string().into()).await {
                // Lost: somebody noted it, perhaps we ourselves in an attempt whose reply was lost.
                Ok(()) | Err(ClaimError::Lost) => {}
                Err(_) => return Err(Stop::Session),
            }
        }
        // A lock that was lost meanwhile did no harm: the versioned write decides.
        let _ = held.release().await;
        Ok(())
    }

    /// Works on a claim until it is finished, or somebody else's.
    async fn process_claim(
        &self,
        mut claim: Claim<P>,
        sink: &mut SinkClient<P>,
    ) -> Result<(), Stop> {
        if claim.is_taken_over() {
            self.platform.observe(ApplicationFact::Milestone { name: "claim_taken_over".into() });
        }
        match self.try_claim(&mut claim, sink).await {
            Ok(()) | Err(ClaimStop::Lost) => Ok(()),
            Err(ClaimStop::End(end)) => Err(Stop::End(end)),
            Err(ClaimStop::Session) => Err(Stop::Session),
        }
    }

    async fn try_claim(
        &self,
        claim: &mut Claim<P>,
        sink: &mut SinkClient<P>,
    ) -> Result<(), ClaimStop> {
        let resource: Arc<str> = format!("claim-{}", claim.number()).into();
        let token = claim.token().0;
        let Some(mut note) = BatchNote::decode(claim.note()) else {
            // Not written by this pipeline. Left alone: it is held as long as we live, and its
            // mails show as missing at the sink.
            tracing::error!(claim = claim.number(), "the claim's note cannot be read");
            return Err(ClaimStop::Lost);
        };
        // Fence first: from here on no earlier holder can add anything, and what they did is known.
        let done = loop {
            match sink.fence(&resource, token).await {
                Ok(done) => break done,
                Err(error) => Self::sink_failed(claim, error)?,
            }
        };
        for index in 0..note.mails.len() {
            if done.contains(&note.mails[index].id) {
                note.mails[index].verdict.get_or_insert_with(|| "done_before".into());
                continue;
            }
            let processed = self.attempt(claim, &mut note, index).await?;
            let noted = &mut note.mails[index];
            noted.verdict = Some(processed.judgement.word().into());
            let mail = noted.id.clone();
            loop {
                let (mail, worker) = (mail.clone(), self.name.clone());
                let result = SinkResult { mail, worker, processed: processed.clone() };
                match sink.put(&resource, token, result).await {
                    Ok(()) => break,
                    // The same request again is one effect, as long as the token is the same.
                    Err(error) => Self::sink_failed(claim, error)?,
                }
            }
        }
        note.noted_at = self.platform.now().wall;
        let results = Write::Create {
            path: format!("{RESULTS}/{resource}").into(),
            data: Some(note.encode()),
            acl: open_acl(),
            mode: CreateMode::Persistent,
            ttl: 0,
            stat: true,
        };
        Ok(claim.finish(note.encode(), vec![results]).await?)
    }

    /// Notes that processing begins, and processes; or sets the mail aside if it was begun too
    /// often.
    async fn attempt(
        &self,
        claim: &mut Claim<P>,
        note: &mut BatchNote,
        index: usize,
    ) -> Result<Processed, ClaimStop> {
        let place = note.first + index;
        let noted = &mut note.mails[index];
        if noted.attempts >= ATTEMPTS_MAX {
            let judgement = Judgement::Poison { attempts: noted.attempts };
            return Ok(Processed { judgement, terms: Vec::new() });
        }
        let id = noted.id.clone();
        let Some(mail) = self.inbox.mails().get(place).filter(|mail| mail.id == id) else {
            return Err(ClaimStop::End(WorkerEnd::OtherInbox { id, place }));
        };
        noted.attempts += 1;
        let attempt = noted.attempts;
        note.noted_at = self.platform.now().wall;
        note.writer = self.name.clone();
        // Reported before it is noted: an onlooker knows every attempt that counts, perhaps one
        // more.
        self.platform.observe(MailFact::MailAttempted {
            worker: self.name.clone(),
            mail: id,
            token: claim.token().0,
            attempt,
        });
        let died = |ProcessorDied| ClaimStop::End(WorkerEnd::Died);
        if planted!(self.config.defects, AttemptNotedAfter) {
            let processed = self.processor.process(mail).await.map_err(died)?;
            claim.renew(note.encode()).await?;
            return Ok(processed);
        }
        claim.renew(note.encode()).await?;
        self.processor.process(mail).await.map_err(died)
    }

    /// Whether a failed request to the sink may be repeated.
    fn sink_failed(claim: &Claim<P>, error: SinkError) -> Result<(), ClaimStop> {
        match error {
            SinkError::Refused { .. } => Err(ClaimStop::Lost),
            SinkError::Unreachable if claim.client().state().is_over() => Err(ClaimStop::Session),
            SinkError::Unreachable => Ok(()),
        }
    }
}

/// How many mails the progress says are noted; none before the first batch. Anything else was not
/// written by this pipeline, and to start from zero over it would process every mail again.
fn noted(progress: &[u8]) -> Result<usize, Stop> {
    if progress.is_empty() {
        return Ok(0);
    }
    let count = std::str::from_utf8(progress).ok().and_then(|text| text.parse().ok());
    count.ok_or(Stop::End(WorkerEnd::ForeignProgress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_that_nobody_here_wrote_ends_the_worker_instead_of_beginning_anew() {
        assert!(matches!(noted(b""), Ok(0)));
        assert!(matches!(noted(b"120"), Ok(120)));
        for foreign in [&b"x"[..], b"-1", b"12 ", b"99999999999999999999999", &[0xff]] {
            assert!(matches!(noted(foreign), Err(Stop::End(WorkerEnd::ForeignProgress))));
        }
    }
}
