//! What a page draws of a system: panels whose rows change over time, and operations with a
//! beginning and an end.
//!
//! Owns: what a projection may draw, and how it is told to the page. Leaves: which facts become
//! what to the projections. Holds: changes are told in the order of the events that made them, and
//! nothing here knows what a panel is about. Start at [`Drawing`].

use super::columns::Texts;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that the systems of a run draw.
#[derive(Default)]
pub(crate) struct Drawing {
    panels: Vec<Panel>,
    changes: Vec<Change>,
    operations: Vec<Operation>,
}

/// A panel by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelId(usize);

/// An operation by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperationId(usize);

/// A list of what holds at an instant.
struct Panel {
    title: String,
    /// What its rows are sorted and counted by, each class with its words: `being tried`.
    classes: &'static [&'static str],
    order: Order,
    /// Whether the changes of one row are worth a list of their own: its story.
    has_stories: bool,
    rows: BTreeMap<Arc<str>, Entry>,
}

/// A row that a panel has at some time.
struct Entry {
    /// How many rows its panel had before it.
    nth: usize,
    is_deep: bool,
}

/// The order of rows of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of their names.
    ByName,
    /// That in which they came first.
    ByTime,
}

/// What a row says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// What stands before its name, in a word or two.
    pub(crate) mark: Arc<str>,
    /// What stands behind its name; may be empty.
    pub(crate) value: Arc<str>,
    /// Which of its panel's classes it is of.
    pub(crate) class: usize,
}

struct Change {
    event: usize,
    panel: usize,
    nth: usize,
    row: Option<Row>,
}

/// An operation of a client, from event to event.
#[derive(Serialize)]
pub(super) struct Operation {
    invoked: usize,
    /// The event of its end, or -1.
    returned: i64,
    outcome: &'static str,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was done.
    Ok,
    /// It was refused, without effect.
    Failed,
    /// Nobody knows whether it happened.
    Unknown,
}

impl Drawing {
    /// A panel of this title, whose rows are counted in these classes and shown in their order.
    pub(crate) fn panel(
        &mut self,
        title: &str,
        classes: &'static [&'static str],
        order: Order,
    ) -> PanelId {
        let rows = BTreeMap::new();
        self.panels.push(Panel {
            title: title.to_owned(),
            classes,
            order,
            has_stories: false,
            rows,
        });
        PanelId(self.panels.len() - 1)
    }

    /// Whoever selects an event that changes a row of this panel sees all that the row came
    /// through.
    pub(crate) fn tell_stories(&mut self, panel: PanelId) {
        self.panels[panel.0].has_stories = true;
    }

    /// From this event on the row of this name says this.
    pub(crate) fn set(&mut self, panel: PanelId, event: usize, name: &Arc<str>, row: Row) {
        let nth = self.row(panel, name).nth;
        self.changes.push(Change { event, panel: panel.0, nth, row: Some(row) });
    }

    /// From this event on there is no row of this name.
    pub(crate) fn remove(&mut self, panel: PanelId, event: usize, name: &Arc<str>) {
        let nth = self.row(panel, name).nth;
        self.changes.push(Change { event, panel: panel.0, nth, row: None });
    }

    /// The row of this name belongs to another one: it is moved in.
    pub(crate) fn move_in(&mut self, panel: PanelId, name: &Arc<str>) {
        self.row(panel, name).is_deep = true;
    }

    fn row(&mut self, panel: PanelId, name: &Arc<str>) -> &mut Entry {
        let rows = &mut self.panels[panel.0].rows;
        let nth = rows.len();
        rows.entry(Arc::clone(name)).or_insert(Entry { nth, is_deep: false })
    }

    /// An operation begins with this event.
    pub(crate) fn invoked(&mut self, event: usize) -> OperationId {
        self.operations.push(Operation { invoked: event, returned: -1, outcome: "open" });
        OperationId(self.operations.len() - 1)
    }

    /// An operation ends with this event.
    pub(crate) fn returned(&mut self, operation: OperationId, event: usize, ended: Ended) {
        let operation = &mut self.operations[operation.0];
        operation.returned = event as i64;
        operation.outcome = match ended {
            Ended::Ok => "ok",
            Ended::Failed => "failed",
            Ended::Unknown => "unknown",
        };
    }

    /// The operations; the panels that ever have a row; and the changes of all rows, as columns.
    pub(super) fn told(mut self, texts: &mut Texts) -> (Vec<Operation>, (Vec<ToldPanel>, Changes)) {
        // Where the rows of each panel begin among all of them, and where each of them stands.
        let mut places: Vec<Vec<usize>> = Vec::new();
        let mut told = Vec::new();
        let mut before = 0;
        for panel in &self.panels {
            let mut rows: Vec<(&Arc<str>, &Entry)> = panel.rows.iter().collect();
            if panel.order == Order::ByTime {
                rows.sort_by_key(|(_, entry)| entry.nth);
            }
            let mut place = vec![0; rows.len()];
            for (at, (_, entry)) in rows.iter().enumerate() {
                place[entry.nth] = before + at;
            }
            before += rows.len();
            places.push(place);
            if !rows.is_empty() {
                told.push(ToldPanel {
                    title: panel.title.clone(),
                    classes: panel.classes,
                    stories: panel.has_stories,
                    names: rows.iter().map(|(name, _)| texts.place(name.to_string())).collect(),
                    deep: rows.iter().map(|(_, entry)| u8::from(entry.is_deep)).collect(),
                });
            }
        }
        self.changes.sort_by_key(|change| change.event);
        let mut changes = Changes::default();
        let mut last = 0;
        for Change { event, panel, nth, row } in self.changes {
            changes.after.push(event - last);
            last = event;
            changes.row.push(places[panel][nth]);
            let text = |texts: &mut Texts, text: &Arc<str>| texts.place(text.to_string()) as i64;
            let (mark, value, class) = match &row {
                Some(row) => (text(texts, &row.mark), text(texts, &row.value), row.class),
                None => (-1, -1, 0),
            };
            changes.mark.push(mark);
            changes.value.push(value);
            changes.class.push(class);
        }
        (self.operations, (told, changes))
    }
}

/// A panel as the page is told it.
#[derive(Serialize)]
pub(super) struct ToldPanel {
    title: String,
    classes: &'static [&'static str],
    stories: bool,
    /// The names of its rows, in order. Rows are numbered through all panels.
    names: Vec<usize>,
    /// Which of them are moved in.
    deep: Vec<u8>,
}

/// What becomes of the rows, one entry per change, in the order of events.
#[derive(Default, Serialize)]
pub(super) struct Changes {
    /// How many events after the change before.
    after: Vec<usize>,
    row: Vec<usize>,
    /// A text, or -1 where the row is gone.
    mark: Vec<i64>,
    value: Vec<i64>,
    class: Vec<usize>,
}
