//! Fencing: whoever was taken over from adds nothing more, from the moment at which its successor
//! relies on that.
//!
//! Definition. For each claim the sink's fence goes up and never down (`lowered`). No result is
//! accepted under a token below the fence as it is then (`below_the_fence`), nor under one that
//! nobody has raised the fence to (`not_raised`): a holder raises it before its first result, since
//! only then does it know what its predecessors got done. A result is refused for a fence above its
//! token alone (`refused_in_vain`).
//!
//! Source: Kleppmann, "How to do distributed locking" (the resource refuses any token below the
//! highest it has seen); the pipeline's own third step, which raises the token and learns what is
//! done. That no mail is processed twice rests on it, and is for `exactly_once` to judge: here the
//! cause is named, whether or not it does harm this time.

use crate::common::checker::violation;
use crate::{Checker, Interests};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::MailFact;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Watches the sink.
#[derive(Clone, Debug, Default)]
pub struct Fencing {
    /// How high each claim's fence is.
    fences: BTreeMap<Arc<str>, u64>,
}

impl Fencing {
    /// A checker of one sink.
    pub fn new() -> Self {
        Self::default()
    }

    fn raised(&mut self, resource: &Arc<str>, token: u64) -> Result<(), (&'static str, String)> {
        let before = self.fences.insert(Arc::clone(resource), token).unwrap_or(0);
        // The same again is told by whoever does not know that its first try came through.
        if token >= before {
            return Ok(());
        }
        Err(("lowered", format!("the sink moved the fence of {resource} from {before} to {token}")))
    }

    fn accepted(
        &self,
        resource: &Arc<str>,
        mail: &str,
        worker: &str,
        token: u64,
    ) -> Result<(), (&'static str, String)> {
        let fence = self.fences.get(resource).copied().unwrap_or(0);
        let what = format!("the sink accepted {mail} of {resource} from {worker} under {token}");
        if token < fence {
            return Err(("below_the_fence", format!("{what}, below its fence {fence}")));
        }
        if token > fence {
            return Err(("not_raised", format!("{what}, to which nobody had raised its fence")));
        }
        Ok(())
    }

    fn refused(
        &self,
        resource: &Arc<str>,
        mail: &str,
        worker: &str,
        token: u64,
    ) -> Result<(), (&'static str, String)> {
        let fence = self.fences.get(resource).copied().unwrap_or(0);
        if token < fence {
            return Ok(());
        }
        let detail = format!(
            "the sink refused {mail} of {resource} from {worker} under {token}, which is not below its fence {fence}"
        );
        Err(("refused_in_vain", detail))
    }
}

impl Checker for Fencing {
    fn name(&self) -> &'static str {
        "fencing"
    }

    fn interests(&self) -> Interests {
        Interests::APPLICATION
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Happening::Observed { observation: Observation::Mail(fact) } = &event.happening else {
            return Ok(());
        };
        let (worker, result) = match fact {
            MailFact::FenceRaised { resource, token } => (None, self.raised(resource, *token)),
            MailFact::SinkAccepted { resource, mail, worker, token, .. } => {
                (Some(worker), self.accepted(resource, mail, worker, *token))
            }
            MailFact::SinkRefused { resource, mail, worker, token, .. } => {
                (Some(worker), self.refused(resource, mail, worker, *token))
            }
            MailFact::MailAttempted { .. } => return Ok(()),
        };
        result.map_err(|(kind, detail)| {
            let nodes = worker.cloned().map(NodeName).into_iter().chain(event.node.clone());
            violation("fencing", kind, event.at_ns, nodes, detail)
        })
    }

    fn finish(&mut self, _at_ns: u64) -> Verdict {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::History;

    fn fenced(token: u64) -> History {
        History::new().fence_raised("m-1", token)
    }

    #[test]
    fn whoever_raises_the_fence_first_passes_and_its_predecessor_is_refused() {
        fenced(3)
            .accepted("m-1", "w1", 3)
            .fence_raised("m-1", 5)
            .refused("m-1", "w1", 3, 5)
            .accepted("m-1", "w2", 5)
            .fence_raised("m-2", 4)
            .accepted("m-2", "w1", 4)
            .passes(Fencing::new());
    }

    #[test]
    fn a_result_from_below_the_fence_is_told() {
        let late = fenced(3).fence_raised("m-1", 5).accepted("m-1", "w1", 3);
        let violation = late.violates(Fencing::new(), "below_the_fence");
        assert_eq!(violation.nodes, ["w1".into(), "sink".into()]);
        let detail = "the sink accepted m-1 of m-1 from w1 under 3, below its fence 5";
        assert_eq!(violation.detail, detail);
    }

    #[test]
    fn a_result_before_its_holder_has_raised_the_fence_is_told() {
        History::new().accepted("m-1", "w1", 3).violates(Fencing::new(), "not_raised");
        fenced(3).accepted("m-1", "w2", 5).violates(Fencing::new(), "not_raised");
    }

    #[test]
    fn a_fence_that_goes_down_is_told() {
        fenced(5).fence_raised("m-1", 3).violates(Fencing::new(), "lowered");
        fenced(5).fence_raised("m-2", 3).passes(Fencing::new());
    }

    #[test]
    fn a_refusal_without_a_higher_fence_is_told() {
        fenced(5).refused("m-1", "w1", 5, 5).violates(Fencing::new(), "refused_in_vain");
        History::new().refused("m-1", "w1", 5, 9).violates(Fencing::new(), "refused_in_vain");
    }
}
