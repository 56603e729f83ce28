//! What checkers need to know of ZooKeeper's znodes: error codes and paths.

/// No such znode.
pub(crate) const NO_NODE: i32 = -101;
/// The znode has another version than demanded.
pub(crate) const BAD_VERSION: i32 = -103;
/// The znode is there already.
pub(crate) const NODE_EXISTS: i32 = -110;
/// The znode has children.
pub(crate) const NOT_EMPTY: i32 = -111;

/// The path of the znode above; the root is its own.
pub(crate) fn parent_of(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(end) => &path[..end],
    }
}

/// The path as it was asked for, if it ends like one that got a sequence number: ten digits.
pub(crate) fn without_sequence_number(path: &str) -> Option<&str> {
    let (asked, number) = path.split_at_checked(path.len().checked_sub(10)?)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_knows_its_parent_and_its_sequence_number() {
        assert_eq!(parent_of("/a/b/c"), "/a/b");
        assert_eq!(parent_of("/a"), "/");
        assert_eq!(parent_of("/"), "/");
        assert_eq!(without_sequence_number("/q/lock-0000000012"), Some("/q/lock-"));
        assert_eq!(without_sequence_number("/q/lock-000000012"), None);
        assert_eq!(without_sequence_number("/q"), None);
    }
}
