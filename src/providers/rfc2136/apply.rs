//! Makes the changes of one line: many in one update while all goes well. An update is done as a whole or not at all, so
//! one that is refused is halved until what is wrong stands alone and all else is done. An update whose answer was lost is
//! sent again: what is compared keeps it from being done twice.

use std::collections::VecDeque;

use crate::domain::dns_plan::{Change, Found};
use crate::providers::rfc2136::errors::Place;
use crate::providers::rfc2136::message::{Rcode, update};
use crate::providers::rfc2136::session::{Meaning, Session, SessionError, View};
use crate::providers::rfc2136::step::{Piece, Step};
use crate::providers::{Kind, ProviderError};

/// Most octets of changes in one update: a message has at most 65,535, signature and all.
const MOST_OCTETS: usize = 60_000;
/// After so many single refusals, and nothing that was ever done, the rest isn't tried.
const REFUSALS: usize = 3;

/// What became of one change.
pub type Outcome = Result<Option<Found>, ProviderError>;

/// One line's changes on their way.
pub struct Run<'a> {
    place: Place<'a>,
    view: &'a View<'a>,
    changes: &'a [Change],
    session: Option<Session<'a>>,
    outcomes: Vec<(usize, Outcome)>,
    accepted: bool,
    refusals: usize,
    /// Whether an answer was lost: then what stands as it should may be our own doing.
    lost: bool,
}

/// What the server makes of an update. Errors beside it are about the key, the zone or the server and end the run.
enum Sent {
    Done,
    /// Something in it can't be; a smaller update may tell what.
    Refused(SessionError, Rcode),
}

impl<'a> Run<'a> {
    /// A run over steps of `changes`.
    pub fn new(place: Place<'a>, view: &'a View<'a>, changes: &'a [Change]) -> Self {
        Self {
            place,
            view,
            changes,
            session: None,
            outcomes: Vec::new(),
            accepted: false,
            refusals: 0,
            lost: false,
        }
    }

    /// Makes the changes in their order; each answer comes with its step's index.
    pub async fn make(mut self, steps: &[Step]) -> Vec<(usize, Outcome)> {
        let mut groups = groups(steps);
        while let Some(group) = groups.pop_front() {
            let tried = match (self.send(group).await, group) {
                (Ok(Sent::Done), _) => {
                    self.accepted = true;
                    self.stands(group);
                    Ok(())
                }
                (Ok(Sent::Refused(error, rcode)), [step]) => self.refused(step, error, rcode).await,
                (Ok(Sent::Refused(..)), _) => {
                    let (first, second) = group.split_at(group.len() / 2);
                    groups.push_front(second);
                    groups.push_front(first);
                    Ok(())
                }
                (Err(error), _) => {
                    groups.push_front(group);
                    Err(error)
                }
            };
            if let Err(error) = tried {
                let rest = std::mem::take(&mut groups).into_iter().flatten();
                self.outcomes.extend(rest.map(|step| (step.index, Err(self.place.error(&error)))));
            }
        }
        if self.accepted {
            // What the key may do was shown: what was refused alone is refused for what it is.
            let errors = self.outcomes.iter_mut().filter_map(|(_, outcome)| outcome.as_mut().err());
            errors.filter(|error| error.kind == Kind::Rights).for_each(|error| error.kind = Kind::Other);
        }
        self.outcomes
    }

    fn stands(&mut self, group: &[Step]) {
        for step in group {
            let to = self.changes.get(step.index).and_then(|change| change.to.clone());
            self.outcomes.push((step.index, Ok(to.map(Found::ours))));
        }
    }

    /// Answers for a change that was refused alone. An error ends the run.
    async fn refused(&mut self, step: &Step, error: SessionError, rcode: Rcode) -> Result<(), SessionError> {
        if !rcode.is_prerequisite() {
            self.outcomes.push((step.index, Err(self.place.error(&error))));
            self.refusals += 1;
            let hopeless = !self.accepted && self.refusals == REFUSALS;
            return if hopeless { Err(error) } else { Ok(()) };
        }
        // While it is found out why, a failure is one of this change, too.
        let outcome = match self.why(step, rcode).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.outcomes.push((step.index, Err(self.place.error(&error))));
                return Err(error);
            }
        };
        self.outcomes.push((step.index, outcome));
        Ok(())
    }

    async fn why(&mut self, step: &Step, rcode: Rcode) -> Result<Outcome, SessionError> {
        let Some(change) = self.changes.get(step.index) else { return Ok(Ok(None)) };
        let group = std::slice::from_ref(step);
        if self.lost && self.holds(group, Piece::Done).await? {
            return Ok(Ok(change.to.clone().map(Found::ours)));
        }
        Ok(Err(match self.holds(group, Piece::Alias).await? {
            true => self.place.alias(&change.key.name, rcode),
            false => self.place.changed(&change.key.name, rcode),
        }))
    }

    /// Sends the update of a group; where the answer was lost it is sent again, once.
    async fn send(&mut self, group: &[Step]) -> Result<Sent, SessionError> {
        match self.exchange(group, Piece::Change).await {
            Err(SessionError::Broken { .. } | SessionError::Silent { .. }) => {}
            answer => return answer,
        }
        self.lost = true;
        match self.exchange(group, Piece::Change).await? {
            // Either it was done the first time, or somebody was faster.
            Sent::Refused(_, rcode) if rcode.is_prerequisite() && self.holds(group, Piece::Done).await? => {
                Ok(Sent::Done)
            }
            answer => Ok(answer),
        }
    }

    /// Whether a condition holds for all of a group, by an update that changes nothing: that reads no cache and no
    /// wildcard.
    async fn holds(&mut self, group: &[Step], piece: Piece) -> Result<bool, SessionError> {
        Ok(matches!(self.exchange(group, piece).await?, Sent::Done))
    }

    async fn exchange(&mut self, group: &[Step], piece: Piece) -> Result<Sent, SessionError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(self.view).await?,
        };
        let message = update(session.id(), self.place.name, group.iter().map(|step| step.piece(piece)));
        let answer = session.ask("update", message).await;
        // Where no answer came one may come late, and would be taken for another's.
        if matches!(answer, Ok(_) | Err(SessionError::Refused { .. })) {
            self.session = Some(session);
        }
        match answer {
            Ok(_) => Ok(Sent::Done),
            Err(error) => {
                match self.view.explain(self.place.name, error).await {
                    error @ SessionError::Refused {
                        rcode, means: Meaning::Rights | Meaning::Else, ..
                    } if rcode != Rcode::NOTIMP && rcode != Rcode::BADTIME => Ok(Sent::Refused(error, rcode)),
                    error => Err(error),
                }
            }
        }
    }
}

/// The steps in as few updates as hold them.
fn groups(mut steps: &[Step]) -> VecDeque<&[Step]> {
    let mut groups = VecDeque::new();
    while !steps.is_empty() {
        let mut octets = 0;
        let fit = steps.iter().take_while(|step| {
            octets += step.len();
            octets <= MOST_OCTETS
        });
        // One that fits into no message goes alone, and the sending says so.
        let (group, rest) = steps.split_at(fit.count().max(1));
        groups.push_back(group);
        steps = rest;
    }
    groups
}
