//! What a running ZooKeeper answers, byte for byte.
//!
//! `zookeeper_3_8_0.txt` is a transcript: requests to a standalone server of version 3.8.0 and what
//! it sent back, in the order in which each client received it. Our server has to say the same.
//! Where the two differ on purpose, ARCHITECTURE.md says so, and the transcript does not ask.
//!
//! | line               | meaning                                                     |
//! | ------------------ | ----------------------------------------------------------- |
//! | `== name`          | a new section: a server with nothing but the znodes it begins with |
//! | `# text`           | what the next request is                                    |
//! | `a opens ...`      | a connection, and its handshake                             |
//! | `a > ...`          | a request                                                   |
//! | `a < ...`          | the next frame that comes back                              |
//! | `a is closed`      | nothing more comes, and the connection has ended            |
//!
//! Frames are hexadecimal, without their length; in braces stands what no two servers have in
//! common: `{+3}`, the third zxid after that of the section's first session; `{time}`, not zero;
//! `{any}`, eight bytes (an event's zxid is that of its change here, as in 3.9, and -1 in 3.8);
//! `{session a}` and `{password a}`, whatever client `a` was given first.

use super::world::*;
use crate::io::ClientId;
use bytes::Bytes;
use std::collections::BTreeMap;

const TRANSCRIPT: &str = include_str!("zookeeper_3_8_0.txt");

#[test]
fn our_server_answers_what_a_running_zookeeper_answered() {
    let mut stage = Stage::new();
    let mut wrong = Vec::new();
    let mut section = "";
    for (index, line) in TRANSCRIPT.lines().enumerate() {
        let result = match line.split_once(' ') {
            Some(("==", name)) => {
                let ended = stage.end();
                section = name;
                stage = Stage::new();
                ended
            }
            None | Some(("#", _)) => Ok(()),
            Some((client, what)) => stage.play(client, what),
        };
        if let Err(found) = result {
            wrong.push(format!("line {} ({section}): {line}\n  but {found}", index + 1));
        }
    }
    wrong.extend(stage.end().err());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A section as far as it has been played.
struct Stage<'a> {
    world: World,
    clients: BTreeMap<&'a str, ClientId>,
    /// The zxid of the first session.
    base: Option<u64>,
    /// Sessions and passwords, by what stands in braces.
    given: BTreeMap<&'a str, Bytes>,
}

impl<'a> Stage<'a> {
    fn new() -> Self {
        let mut world = World::new(1);
        world.elect();
        Self { world, clients: BTreeMap::new(), base: None, given: BTreeMap::new() }
    }

    fn play(&mut self, name: &'a str, what: &'a str) -> Result<(), String> {
        let (verb, frame) = what.split_once(' ').unwrap_or((what, ""));
        if verb == "opens" {
            let client = self.world.open_unread(s(1));
            self.clients.insert(name, client);
        }
        let client = self.clients[name];
        match verb {
            "opens" | ">" => {
                let frame = self.bytes(frame);
                self.world.frame(client, frame);
                Ok(())
            }
            "<" => {
                let came = self.world.next_frame(client).ok_or("nothing came")?;
                self.compare(frame, &came).map_err(|why| format!("{came:02x?} came: {why}"))
            }
            "is" => match self.world.next_frame(client) {
                None if self.world.is_closed(client) => Ok(()),
                None => Err("it is open".into()),
                Some(came) => Err(format!("{came:02x?} came")),
            },
            _ => panic!("no such line"),
        }
    }

    /// Nobody received more than was said.
    fn end(mut self) -> Result<(), String> {
        for (name, client) in &self.clients {
            if let Some(came) = self.world.next_frame(*client) {
                return Err(format!("in the end {name} received {came:02x?} more"));
            }
        }
        Ok(())
    }

    fn bytes(&self, text: &'a str) -> Bytes {
        let mut bytes = Vec::new();
        for part in parts(text) {
            match part {
                Part::Bytes(part) => bytes.extend(part),
                Part::Zxid(after) => bytes.extend((self.base.unwrap() + after).to_be_bytes()),
                Part::Given(name) => bytes.extend(&self.given[name]),
                Part::Time | Part::Any => panic!("a request says what it says"),
            }
        }
        bytes.into()
    }

    fn compare(&mut self, text: &'a str, came: &Bytes) -> Result<(), String> {
        let mut rest = came.clone();
        for part in parts(text) {
            let length = match &part {
                Part::Bytes(part) => part.len(),
                Part::Given(name) if name.starts_with("password") => 16,
                _ => 8,
            };
            if rest.len() < length {
                return Err(format!("it ends before {part:?}"));
            }
            let found = rest.split_to(length);
            let at = came.len() - rest.len() - length;
            let fits = match &part {
                Part::Bytes(expected) => *found == expected[..],
                Part::Zxid(after) => {
                    self.base.is_some_and(|base| found[..] == (base + after).to_be_bytes())
                }
                Part::Time => found[..] != [0; 8],
                Part::Any => true,
                Part::Given(name) => {
                    if self.base.is_none() {
                        self.base = Some(self.world.servers[&s(1)].last_applied().0);
                    }
                    *self.given.entry(name).or_insert(found.clone()) == found
                }
            };
            if !fits {
                return Err(format!("at byte {at} {found:02x?} is not {part:02x?}"));
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(format!("{rest:02x?} is left over")) }
    }
}

#[derive(Debug)]
enum Part<'a> {
    Bytes(Vec<u8>),
    Zxid(u64),
    Time,
    Any,
    Given(&'a str),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let part;
        if let Some(inner) = rest.strip_prefix('{') {
            (part, rest) = inner.split_once('}').unwrap();
            parts.push(match part {
                "time" => Part::Time,
                "any" => Part::Any,
                part => match part.strip_prefix('+') {
                    Some(after) => Part::Zxid(after.parse().unwrap()),
                    None => Part::Given(part),
                },
            });
        } else {
            (part, rest) = rest.split_at(rest.find([' ', '{']).unwrap_or(rest.len()));
            let digit = |at: usize| u8::from_str_radix(&part[at..at + 2], 16).unwrap();
            parts.push(Part::Bytes((0..part.len()).step_by(2).map(digit).collect()));
        }
        rest = rest.trim_start();
    }
    parts
}
