//! The pipeline `claims`: workers that share an inbox through the coordination service, and a
//! supervisor that replaces the dead.
//!
//! ```text
//!   /mail/lock/...                    queue of those who want to note the next batch
//!   /mail/work/progress               how many mails of the inbox have been noted
//!   /mail/work/open/claim-N           a batch: ids, attempts, verdicts so far
//!   /mail/work/open/claim-N/holder    ephemeral: lives with the holder's session
//!   /mail/work/done/claim-N           a batch that is finished
//!   /mail/results/claim-N             what came out of it, written in the `multi` that finishes it
//!   /mail/workers/NAME-SESSION        ephemeral: a worker that lives
//!   /mail/supervisors/...             election among the supervisors
//! ```
//!
//! One mail's way, and what each step is there for:
//!
//! 1. Under the lock a worker notes the next batch, together with the progress: one `multi`, so no
//!    mail is noted twice or skipped. The lock only saves workers from failed attempts.
//! 2. A worker takes a batch: a versioned write that also makes its ephemeral. The write's zxid is
//!    the fencing token.
//! 3. It raises the token at the sink, and learns which mails its predecessors got done.
//! 4. Before each mail it notes the attempt. A worker whose claim was taken over fails here, and a
//!    mail that kills its workers is recognised by its attempts.
//! 5. The result goes to the sink under the token. That is the moment at which the mail is
//!    processed.
//! 6. The batch is finished together with its results, or not at all.
//!
//! Start at [`Worker::run`].

mod note;
mod supervisor;
mod worker;

pub use note::{BatchNote, NotedMail};
pub use supervisor::{Launcher, Supervisor};
pub use worker::{Processor, ProcessorDied, Worker, WorkerEnd};

use mailstorm_client::CallError;
use mailstorm_client::Client;
use mailstorm_platform::Platform;

/// At most this many mails in one claim.
pub const BATCH_MAX: usize = 100;
/// After this many attempts a mail is set aside as poison.
pub const ATTEMPTS_MAX: u32 = 3;

const LOCK: &str = "/mail/lock";
/// Where the claims lie.
pub const WORK: &str = "/mail/work";
const RESULTS: &str = "/mail/results";
const WORKERS: &str = "/mail/workers";
const SUPERVISORS: &str = "/mail/supervisors";

/// Creates the znodes of the pipeline that are missing.
async fn prepare<P: Platform>(client: &Client<P>) -> Result<(), CallError> {
    for path in [LOCK, RESULTS, WORKERS, SUPERVISORS] {
        client.ensure_path(path).await?;
    }
    Ok(())
}
