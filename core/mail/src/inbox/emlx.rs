//! `.emlx`, as Apple Mail keeps a mail: a line with a count of bytes, the mail of so many bytes,
//! and a property list with what the program knows of it.

use bytes::Bytes;

/// The mail in such a file. Where the count is missing or too large, whatever follows the first
/// line if that is a number, or everything: a damaged file is for processing to judge, and not lost
/// here.
pub(super) fn mail_of(file: &Bytes) -> Bytes {
    let Some(end) = file.iter().position(|byte| *byte == b'\n') else { return file.clone() };
    let count = std::str::from_utf8(&file[..end]).ok().and_then(|line| line.trim().parse().ok());
    let Some(count): Option<usize> = count else { return file.clone() };
    let mail = file.slice(end + 1..);
    if count <= mail.len() { mail.slice(..count) } else { mail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_is_what_stands_between_its_length_and_the_property_list() {
        let check = |file: &'static str, mail: &str| {
            assert_eq!(mail_of(&Bytes::from(file)), mail, "{file}");
        };
        check("11        \nSubject: a\n<?xml version=\"1.0\"?>", "Subject: a\n");
        check("11\r\nSubject: a\n<?xml", "Subject: a\n");
        check("99\nSubject: a\n", "Subject: a\n");
        check("Subject: a\n\n12\n", "Subject: a\n\n12\n");
        check("12", "12");
        check("", "");
    }
}
