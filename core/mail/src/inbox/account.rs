//! What was read of an inbox, and what was left out: nothing is skipped silently.
//!
//! Holds: the mails and everything that was left out are together all that lay there, each once.
//! Start at [`Account`].

use std::collections::BTreeMap;
use std::sync::Arc;

/// So many names are kept of what was left out for the same reason.
const NAMED_MAX: usize = 1_000;
/// So many of them are named in a short account.
const NAMED_SHORT: usize = 3;

/// What mails lay in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Folders `cur` and `new`, a file a mail.
    Maildir,
    /// A file of many mails, with a line `From ` before each.
    Mbox,
    /// A folder whose files are numbers, a file a mail.
    Mh,
    /// A file that ends in `.eml`, or a file that is one mail.
    Eml,
    /// A mail as Apple Mail keeps it, in a file that ends in `.emlx`.
    Emlx,
}

impl Form {
    /// So many of them, as in "2 mbox files".
    fn told(self, places: u64) -> String {
        let (one, many) = match self {
            Self::Maildir => ("Maildir", "Maildirs"),
            Self::Mbox => ("mbox file", "mbox files"),
            Self::Mh => ("MH folder", "MH folders"),
            Self::Eml => ("mail file", "mail files"),
            Self::Emlx => (".emlx file", ".emlx files"),
        };
        format!("{places} {}", if places == 1 { one } else { many })
    }
}

/// Why something in an inbox is no mail, or is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Its name begins with a dot: in a Maildir by its rule, and elsewhere a hidden file or folder.
    LeadingDot,
    /// An index or a list that a mail program keeps beside the mails.
    ProgramFile,
    /// A message in which a mail program keeps its own data: the first of a mailbox of Pine and of
    /// c-client.
    ProgramMessage,
    /// Deleted by its owner, and not yet removed from the mailbox: flagged so by Mozilla, or
    /// renamed by MH.
    Deleted,
    /// Another file of the same Maildir has the same unique name: one mail, moved or flagged
    /// meanwhile.
    Twin,
    /// In `tmp` of a Maildir: not yet delivered, perhaps half written.
    InDelivery,
    /// A link to what is read in another place already, or that forms a loop.
    LinkedAgain,
    /// A link that leads nowhere, with a name that is no mail's.
    DeadLink,
    /// A pipe, a socket, a device.
    NotAFile,
    /// A mailbox of a format that is not read.
    FormatNotRead,
    /// Compressed with something else than gzip, or damaged.
    Compressed,
    /// An archive of files, such as tar and zip.
    Archive,
    /// Named as an mbox, or with a line of one further down, and does not begin with `From `.
    NoMbox,
    /// Begins with a header, and neither its name nor that header is a mail's.
    PerhapsMail,
    /// A mailbox without a byte in it.
    Empty,
    /// Neither its name nor its first bytes are those of a mail or of an mbox.
    NotMail,
}

impl Reason {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeadingDot => "leading_dot",
            Self::ProgramFile => "program_file",
            Self::ProgramMessage => "program_message",
            Self::Deleted => "deleted",
            Self::Twin => "twin",
            Self::InDelivery => "in_delivery",
            Self::LinkedAgain => "linked_again",
            Self::DeadLink => "dead_link",
            Self::NotAFile => "not_a_file",
            Self::FormatNotRead => "format_not_read",
            Self::Compressed => "compressed",
            Self::Archive => "archive",
            Self::NoMbox => "no_mbox",
            Self::PerhapsMail => "perhaps_mail",
            Self::Empty => "empty",
            Self::NotMail => "not_mail",
        }
    }

    /// What follows on the number of those that were left out.
    pub fn words(self) -> &'static str {
        match self {
            Self::LeadingDot => "with a leading dot",
            Self::ProgramFile => "kept by a mail program for itself",
            Self::ProgramMessage => "kept by a mail program in the mailbox",
            Self::Deleted => "deleted, not yet removed from the mailbox",
            Self::Twin => "with the unique name of another mail",
            Self::InDelivery => "in tmp/, not yet delivered",
            Self::LinkedAgain => "linked to what is read already",
            Self::DeadLink => "linked to nowhere",
            Self::NotAFile => "neither file nor folder",
            Self::FormatNotRead => "of a format that is not read (export it as mbox or .eml)",
            Self::Compressed => "compressed, but not with gzip, or damaged (unpack it first)",
            Self::Archive => "packed together in an archive (unpack it first)",
            Self::NoMbox => "of an mbox by name or content, but not beginning with 'From '",
            Self::PerhapsMail => {
                "beginning with a header, but not named as a mail (add .eml if it is one)"
            }
            Self::Empty => "empty",
            Self::NotMail => "no mail by name and content",
        }
    }
}

/// What was left out for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The first few, in the order of their names.
    pub names: Vec<Arc<str>>,
}

/// What was read of an inbox, and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What the mails lay in: how many places of each form, and how many mails in them.
    pub found: BTreeMap<Form, (u64, u64)>,
    /// What was left out, by reason.
    pub left_out: BTreeMap<Reason, LeftOut>,
    /// Lines of mbox files that begin with `From ` and were taken as text of a mail.
    pub from_lines_as_text: u64,
    /// Lines of mbox files that were taken as the beginning of a mail although no header follows.
    pub mails_without_header: u64,
}

impl Account {
    pub(super) fn add_mail(&mut self, form: Form, is_new_place: bool) {
        let (places, mails) = self.found.entry(form).or_default();
        *places += u64::from(is_new_place);
        *mails += 1;
    }

    pub(super) fn leave_out(&mut self, reason: Reason, name: Arc<str>) {
        let left = self.left_out.entry(reason).or_default();
        left.count += 1;
        let place = left.names.partition_point(|other| *other < name);
        left.names.insert(place, name);
        left.names.truncate(NAMED_MAX);
    }

    /// How many mails were read.
    pub fn mails(&self) -> u64 {
        self.found.values().map(|(_, mails)| mails).sum()
    }

    /// How many things were left out.
    pub fn left_out_count(&self) -> u64 {
        self.left_out.values().map(|left| left.count).sum()
    }

    /// What was left out, by the names that reasons have in results.
    pub fn left_out_by_name(&self) -> BTreeMap<String, u64> {
        let each = self.left_out.iter();
        each.map(|(reason, left)| (reason.name().to_owned(), left.count)).collect()
    }

    /// What the mails lay in, as in "1 Maildir and 2 mbox files".
    pub fn kind(&self) -> String {
        let forms: Vec<_> =
            self.found.iter().map(|(form, (places, _))| form.told(*places)).collect();
        match &forms[..] {
            [] => "nothing".to_owned(),
            [one] => one.clone(),
            [others @ .., last] => format!("{} and {last}", others.join(", ")),
        }
    }

    /// The account for people: the sum in the first line, then a line for each reason with a few
    /// names.
    pub fn told(&self) -> Vec<String> {
        self.told_in_pieces(NAMED_SHORT).into_iter().map(|pieces| pieces.join(" ")).collect()
    }

    /// The same with all names that are known, each line in the pieces between which it may be
    /// broken: no name is broken, since it may have blanks in it.
    pub fn told_in_full(&self) -> Vec<Vec<String>> {
        self.told_in_pieces(NAMED_MAX)
    }

    /// The same as [`Account::told`], in pieces.
    pub fn told_in_short(&self) -> Vec<Vec<String>> {
        self.told_in_pieces(NAMED_SHORT)
    }

    fn told_in_pieces(&self, names_max: usize) -> Vec<Vec<String>> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let left = self.left_out_count();
        let left = match left {
            0 => "nothing left out".to_owned(),
            count => format!("{count} left out"),
        };
        let mut lines =
            vec![words(&format!("{} in {}; {left}", mails_told(self.mails()), self.kind()))];
        for (reason, LeftOut { count, names }) in &self.left_out {
            let mut line = words(&format!("{count} {}:", reason.words()));
            let named = &names[..names.len().min(names_max)];
            line.extend(named.iter().map(|name| format!("{name},")));
            if *count > named.len() as u64 {
                line.push("...".to_owned());
            } else if let Some(last) = line.last_mut() {
                last.pop();
            }
            lines.push(line);
        }
        let lines_told = |count: u64| match count {
            1 => "1 line".to_owned(),
            count => format!("{count} lines"),
        };
        if self.from_lines_as_text > 0 {
            let count = lines_told(self.from_lines_as_text);
            lines
                .push(words(&format!("note: {count} with 'From ' at the beginning taken as text")));
        }
        if self.mails_without_header > 0 {
            let count = lines_told(self.mails_without_header);
            lines.push(words(&format!(
                "note: {count} with 'From ', a date and no header after it taken as a mail's beginning"
            )));
        }
        lines
    }
}

fn mails_told(count: u64) -> String {
    if count == 1 { "1 mail".to_owned() } else { format!("{count} mails") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_tells_the_sum_first_and_then_each_reason_with_a_few_names() {
        let mut account = Account::default();
        for (form, is_new) in [
            (Form::Maildir, true),
            (Form::Maildir, false),
            (Form::Maildir, false),
            (Form::Mbox, true),
            (Form::Mbox, true),
            (Form::Mbox, false),
        ] {
            account.add_mail(form, is_new);
        }
        for name in ["cur/.d", "cur/.b", "cur/.a", "cur/.c"] {
            account.leave_out(Reason::LeadingDot, name.into());
        }
        account.from_lines_as_text = 1;
        assert_eq!(
            account.told(),
            [
                "6 mails in 1 Maildir and 2 mbox files; 4 left out",
                "4 with a leading dot: cur/.a, cur/.b, cur/.c, ...",
                "note: 1 line with 'From ' at the beginning taken as text",
            ]
        );
        assert_eq!(account.left_out_by_name(), [("leading_dot".to_owned(), 4)].into());
        let all = "4 with a leading dot: cur/.a, cur/.b, cur/.c, cur/.d";
        assert_eq!(account.told_in_full()[1].join(" "), all);
    }

    #[test]
    fn a_name_is_one_piece_whatever_blanks_it_has() {
        let mut account = Account::default();
        account.leave_out(Reason::NotMail, "q  r .txt".into());
        let line = &account.told_in_short()[1];
        assert_eq!(line.last().map(String::as_str), Some("q  r .txt"));
        assert_eq!(account.told()[1], "1 no mail by name and content: q  r .txt");
    }
}
