//! Paths of znodes: which are valid, and how they hang together.
//!
//! Everything but [`validate`] expects a path that begins with a slash; the parts are found by
//! slashes alone, so that "the parent is looked up first" holds for malformed paths, too, as in
//! ZooKeeper.

use mailstorm_wire::client::ErrorCode;

/// The root.
pub(crate) const ROOT: &str = "/";

/// Znodes that exist from the start and may not be deleted (`ZKDatabase.isSpecialPath`).
pub(crate) const SPECIAL: [&str; 4] = [ROOT, "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// Whether ZooKeeper would take this path for a znode (`PathUtils.validatePath`).
///
/// # Errors
/// [`ErrorCode::BadArguments`] when it is empty or relative, ends in a slash, has an empty
/// component, a `.` or `..`, or a character that ZooKeeper refuses: controls, the private use area,
/// specials, and all beyond the basic plane, which Java sees as surrogates.
pub fn validate(path: &str) -> Result<(), ErrorCode> {
    let Some(rest) = path.strip_prefix('/') else { return Err(ErrorCode::BadArguments) };
    if rest.is_empty() {
        return Ok(());
    }
    let component_fits = |name: &str| !matches!(name, "" | "." | "..");
    if rest.split('/').all(component_fits) && rest.chars().all(is_allowed) {
        Ok(())
    } else {
        Err(ErrorCode::BadArguments)
    }
}

fn is_allowed(character: char) -> bool {
    !matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The path above; the root is its own parent.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => ROOT,
        Some(slash) => &path[..slash],
    }
}

/// The last component; empty for the root.
pub(crate) fn name(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// All paths above, the nearest first, the root last; none above the root.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    fn above<'a>(path: &&'a str) -> Option<&'a str> {
        if path.len() > ROOT.len() { Some(parent(path)) } else { None }
    }
    std::iter::successors(above(&path), above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zookeepers_rules_decide_which_paths_are_valid() {
        for path in ["/", "/a", "/a/b", "/a.b", "/...", "/.a/..b", "/ä/日本", "/a b"] {
            assert_eq!(validate(path), Ok(()), "{path:?}");
        }
        let refused = [
            "",
            "a",
            "a/b",
            "//",
            "/a/",
            "/a//b",
            "//a",
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/a\0b",
            "/\u{1}",
            "/\u{7f}",
            "/\u{e000}",
            "/\u{fff0}",
            "/\u{1f600}",
        ];
        for path in refused {
            assert_eq!(validate(path), Err(ErrorCode::BadArguments), "{path:?}");
        }
    }

    #[test]
    fn a_path_is_taken_apart_at_its_slashes() {
        assert_eq!((parent("/a/b"), name("/a/b")), ("/a", "b"));
        assert_eq!((parent("/a"), name("/a")), ("/", "a"));
        assert_eq!((parent("/a/"), name("/a/")), ("/a", ""));
        assert_eq!((parent("/"), name("/")), ("/", ""));
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert_eq!(ancestors("/").count(), 0);
    }
}
